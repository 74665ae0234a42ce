import { z } from 'zod'
import type { Authenticator, Outcome } from './authenticator.ts'
import type { UafKey } from './key.ts'
import { MISBEHAVIOURS } from './misbehaviour.ts'

/** The body of `POST /_trimint/authenticator`. */
export const authenticatorAction = z.strictObject({
  action: z.enum(['register', 'authenticate', 'deregister']),
  token: z.string().min(1),
  misbehave: z.enum(MISBEHAVIOURS).optional(),
})

export type AuthenticatorAction = z.output<typeof authenticatorAction>

/** Performs what a body asks for. @throws AuthenticatorError where the authenticator cannot. */
export function performAction(
  authenticator: Authenticator,
  { action, token, misbehave }: AuthenticatorAction,
): Promise<Outcome> {
  return action === 'deregister' ? authenticator.deregister(token) : authenticator[action](token, { misbehave })
}

/** A key without its private part. */
export type KeyView = Omit<UafKey, 'privateKey'>

export function viewKey({ privateKey: _, ...view }: UafKey): KeyView {
  return view
}
