/** The store cannot be asked, and without it nobody can say whether a token is good. */
export class StoreUnavailableError extends Error {}

/** Waits for a step of a store. @throws StoreUnavailableError for whatever goes wrong with it. */
export async function available<Result>(step: Result | Promise<Result>): Promise<Result> {
  try {
    return await step
  } catch (cause) {
    throw new StoreUnavailableError('the store cannot be asked', { cause })
  }
}
