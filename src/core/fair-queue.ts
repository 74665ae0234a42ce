/** A queue that serves parties in turn: items of one party wait behind each other, not behind all items of another. */
export interface FairQueue<Item> {
  readonly size: number
  push(party: string, item: Item): void
  /** Removes and returns the oldest item of the party whose turn it is. */
  shift(): Item | undefined
  /**
   * Makes room for an item of a party: removes and returns the newest item of the party with most items, unless that
   * party would then have fewer than the other.
   */
  displaceFor(party: string): Item | undefined
}

export function createFairQueue<Item>(): FairQueue<Item> {
  /** In the order of their turns; none of them empty. */
  const parties = new Map<string, Item[]>()
  let size = 0

  function take(party: string, items: Item[], item: Item | undefined): Item | undefined {
    if (items.length === 0) parties.delete(party)
    size -= 1
    return item
  }

  return {
    get size() {
      return size
    },
    push(party, item) {
      const items = parties.get(party)
      if (items) items.push(item)
      else parties.set(party, [item])
      size += 1
    },
    shift() {
      const [next] = parties
      if (!next) return undefined
      const [party, items] = next
      // To the end of the turns.
      parties.delete(party)
      parties.set(party, items)
      return take(party, items, items.shift())
    },
    displaceFor(party) {
      let [owner, most]: [string, Item[]] = [party, parties.get(party) ?? []]
      const own = most.length
      for (const [other, items] of parties) if (items.length > most.length) [owner, most] = [other, items]
      return most.length > own + 1 ? take(owner, most, most.pop()) : undefined
    },
  }
}
