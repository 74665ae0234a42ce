import type { AssertionChanges } from './assertion.ts'
import type { SendUafResponse, UafResponse } from './uaf-message.ts'

/**
 * What an authenticator can do wrong on purpose.
 *
 * - `declines`: the user cancels; the client sends no assertion and ASM status 3.
 * - `wrongFinger`: the user is not recognised; the client sends no assertion and ASM status 2.
 * - `wrongKey`: signs with another private key than the registered one.
 * - `clonedCounter`: signs with the counter of the last signature, as a copy of the authenticator would.
 * - `alteredTransaction`: confirms another text than the transaction's.
 * - `late`: answers one second after the deadline.
 */
export const MISBEHAVIOURS = [
  'declines',
  'wrongFinger',
  'wrongKey',
  'clonedCounter',
  'alteredTransaction',
  'late',
] as const

export type Misbehaviour = (typeof MISBEHAVIOURS)[number]

/** Changes an answer while it is made, to test a server. Each function returns a replacement. */
export interface AnswerChanges extends AssertionChanges {
  readonly header?: (header: UafResponse['header']) => unknown
  /** Gets the final challenge parameters before they are encoded and hashed; a string is taken as encoded. */
  readonly fcParams?: (params: Readonly<Record<string, unknown>>) => unknown
  /** Gets the response before it becomes text. */
  readonly response?: (response: UafResponse) => unknown
  /** Gets the body of the HTTP request before it becomes text. */
  readonly body?: (body: SendUafResponse) => unknown
}

/** How an authenticator answers one request. By default, correctly. */
export interface Behaviour {
  readonly misbehave?: Misbehaviour | undefined
  readonly change?: AnswerChanges | undefined
}
