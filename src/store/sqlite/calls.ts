import type { Reader } from './reader.ts'

/** A call of an operation: the store, the operation, and its arguments. */
export type Call = readonly [store: string, operation: string, ...values: unknown[]]

/** The result of a call. */
export type Outcome = { readonly value: unknown } | { readonly error: Error }

type Operation = (...values: never[]) => unknown

/** Operations on a connection, all of them synchronous. */
export type Operations = Readonly<Record<string, Operation>>

/**
 * Calls an operation on the thread that has the writing connection. Rejects when the store cannot complete the call.
 */
export type Caller<Callable extends Operations> = <Name extends keyof Callable & string>(
  operation: Name,
  ...values: Parameters<Callable[Name]>
) => Promise<ReturnType<Callable[Name]>>

/** The connections that a store uses. */
export interface Connections<Callable extends Operations> {
  readonly reader: Reader
  /** Calls an operation in a transaction. */
  readonly write: Caller<Callable>
  /** Calls an operation that only reads but needs the writing connection. */
  readonly read: Caller<Callable>
}
