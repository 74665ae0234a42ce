/** Thrown where an answer needs the store and the store fails. `cause` is the store's error. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
  readonly code = 'ERR_STORE_UNAVAILABLE'
}

/** Waits for a step of a store. @throws StoreUnavailableError when the step rejects, whatever the reason. */
export async function available<Result>(step: Result | Promise<Result>): Promise<Result> {
  try {
    return await step
  } catch (cause) {
    throw new StoreUnavailableError('the store is unavailable', { cause })
  }
}
