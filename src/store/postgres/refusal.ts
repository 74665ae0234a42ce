/** Thrown where PostgreSQL refuses the user, or the database cannot hold the store. Waiting does not help. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

/** SQLSTATE of a failed authentication (class 28), a database that does not exist, and missing rights. */
const REFUSALS = /^(28...|3D000|42501)$/

/** Tells whether only an operator can remove the cause of an error. */
export function isRefusal(error: unknown): boolean {
  return error instanceof RefusedError || REFUSALS.test(sqlStateOf(error))
}

/** Returns the SQLSTATE of an error of the server; empty for other errors. */
export function sqlStateOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : ''
}
