import { whenSettled } from './when-settled.ts'

/** How many share a step at most, so that none of them holds a server for long. */
const LARGEST_GROUP = 64

/** How many steps are under way before what comes waits for one of them: the server takes one while the next is on its way. */
const UNDER_WAY = 2

/** … and for how long, in milliseconds: a server that hangs holds only up what it has been given. */
const LONGEST_WAIT = 20

export interface Gathering<Item, Answer> {
  /** Has an item taken together with others; its own answer comes. */
  take(item: Item): Promise<Answer>
  /** Takes what is there now. */
  flush(): void
}

interface Waiting<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/**
 * Takes together, in one step, what comes with one callback of the event loop, and what comes while earlier steps are under way: most of what
 * a step costs does not depend on how much it takes along.
 *
 * @param step answers for each item, in their order; where it fails, it has failed for all of them.
 */
export function createGathering<Item, Answer>(
  step: (items: readonly Item[]) => Promise<readonly Answer[]>,
): Gathering<Item, Answer> {
  let waiting: Waiting<Item, Answer>[] = []
  let underWay = 0
  let timer: NodeJS.Timeout | undefined

  function flushSoon(): void {
    if (underWay < UNDER_WAY) whenSettled(flush)
    else timer ??= setTimeout(flush, LONGEST_WAIT)
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    const all = waiting
    waiting = []
    for (let from = 0; from < all.length; from += LARGEST_GROUP) takeGroup(all.slice(from, from + LARGEST_GROUP))
  }

  async function takeGroup(group: readonly Waiting<Item, Answer>[]): Promise<void> {
    underWay += 1
    try {
      const answers = await step(group.map(({ item }) => item))
      if (answers.length !== group.length) throw new Error(`${answers.length} answers to ${group.length} items`)
      for (const [at, answer] of answers.entries()) group[at]?.resolve(answer)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
    underWay -= 1
    if (waiting.length > 0) flushSoon()
  }

  return {
    take: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        if (waiting.length === 1) flushSoon()
      }),
    flush,
  }
}
