import type { Users } from './options.ts'

/** An authenticated client (N8). */
export interface Caller {
  readonly client: string
  /** The position of the secret that the client gave, counted from 0. */
  readonly secretSlot?: number
  readonly users: Users
  /** Used where a request names no user (N11). */
  readonly defaultUser?: string
}
