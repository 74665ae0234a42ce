/** The store cannot be asked, and without it nobody can say whether a token is good. */
export class StoreUnavailable extends Error {}

/** Waits for a step of a store. @throws StoreUnavailable for whatever goes wrong with it. */
export async function available<Result>(step: Result | Promise<Result>): Promise<Result> {
  try {
    return await step
  } catch (cause) {
    throw new StoreUnavailable('the store cannot be asked', { cause })
  }
}
