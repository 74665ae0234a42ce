/** Thrown where Redis refuses the user or one of its commands, or knows no such primary. Waiting does not help. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

/** Tells whether only an operator can remove the cause of an error. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && (error instanceof RefusedError || /^(NOPERM|NOAUTH|WRONGPASS)\b/.test(error.message))
}
