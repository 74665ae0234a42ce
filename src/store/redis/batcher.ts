import { afterMicrotasks } from '../after-microtasks.ts'

/** How many share a step at most, so that none of them holds a server for long. */
const MAX_BATCH_SIZE = 64

/** How many steps are under way before what comes waits for one of them: the server takes one while the next is on its way. */
const MAX_CONCURRENT_BATCHES = 2

/** … and for how long, in milliseconds: a server that hangs holds only up what it has been given. */
const MAX_WAIT_MS = 20

export interface Batcher<Item, Answer> {
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
export function createBatcher<Item, Answer>(
  step: (items: readonly Item[]) => Promise<readonly Answer[]>,
): Batcher<Item, Answer> {
  let waiting: Waiting<Item, Answer>[] = []
  let underWay = 0
  let timer: NodeJS.Timeout | undefined

  function flushSoon(): void {
    if (underWay < MAX_CONCURRENT_BATCHES) afterMicrotasks(flush)
    else timer ??= setTimeout(flush, MAX_WAIT_MS)
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    const all = waiting
    waiting = []
    for (let from = 0; from < all.length; from += MAX_BATCH_SIZE) takeGroup(all.slice(from, from + MAX_BATCH_SIZE))
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
