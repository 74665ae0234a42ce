import { hash } from 'node:crypto'
import { AuthenticatorError } from './authenticator-error.ts'
import type { UafKey } from './key.ts'
import type { Behaviour } from './misbehaviour.ts'
import type { SendUafResponse, UafRequest, UafResponse } from './uaf-message.ts'

// The part of the FIDO client: it reads requests, and puts assertions into responses.

/** ASM status codes that a client reports (FIDO UAF ASM API 1.1, section 3.4). */
const ASM_STATUS = { ACCESS_DENIED: 2, USER_CANCELLED: 3 } as const

/** Returns the ASM status where the user or the authenticator gives up, undefined otherwise. */
export function gaveUpWith({ misbehave }: Behaviour): number | undefined {
  if (misbehave === 'declines') return ASM_STATUS.USER_CANCELLED
  if (misbehave === 'wrongFinger') return ASM_STATUS.ACCESS_DENIED
  return undefined
}

/** @throws AuthenticatorError if the request gives no occasion to misbehave in this way. */
export function checkApplies({ misbehave }: Behaviour, { header, transaction }: UafRequest): void {
  if (misbehave === 'clonedCounter' && header.op !== 'Auth')
    throw new AuthenticatorError('clonedCounter does not apply: only an authentication has a counter to clone')
  if (misbehave === 'alteredTransaction' && !transaction)
    throw new AuthenticatorError('alteredTransaction does not apply: the request has no transaction')
}

/** Encodes the final challenge parameters (FIDO UAF protocol 1.1, section 3.1.8), in base64url. */
export function encodeFinalChallenge(
  { header, challenge = '' }: UafRequest,
  facetID: string,
  { change }: Behaviour,
): string {
  const params = { appID: header.appID, challenge, facetID, channelBinding: {} }
  const changed = change?.fcParams?.(params) ?? params
  return typeof changed === 'string' ? changed : Buffer.from(JSON.stringify(changed)).toString('base64url')
}

/** Puts assertions into the body for the response service. */
export function assembleBody(
  { header }: UafRequest,
  fcParams: string,
  assertions: readonly Uint8Array[],
  { change }: Behaviour,
  context?: string,
): unknown {
  const response: UafResponse = {
    header: (change?.header?.(header) ?? header) as UafResponse['header'],
    fcParams,
    assertions: assertions.map((assertion) => ({
      assertionScheme: 'UAFV1TLV',
      assertion: Buffer.from(assertion).toString('base64url'),
    })),
  }
  const uafResponse = JSON.stringify([change?.response?.(response) ?? response])
  const body: SendUafResponse = context === undefined ? { uafResponse } : { uafResponse, context }
  return change?.body?.(body) ?? body
}

/**
 * Returns the first key of the app that the policy accepts. Of a criterion, it reads `aaid` and `keyIDs`.
 *
 * @throws AuthenticatorError if there is none.
 */
export function chooseKey(keys: readonly UafKey[], { header, policy }: UafRequest): UafKey {
  const candidates = keys.filter(({ appId }) => appId === header.appID)
  const criteria = policy?.accepted.flat() ?? []
  const accepted = criteria.flatMap(({ aaid, keyIDs }) =>
    candidates.filter((key) => (aaid?.includes(key.aaid) ?? true) && (keyIDs?.includes(key.keyId) ?? true)),
  )
  const [key] = accepted
  if (!key) throw new AuthenticatorError(`no key for ${header.appID} that the policy accepts; register one first`)
  return key
}

/** Returns whether a deregistration names a key; an empty AAID or key id names all of them. */
export function isNamed(key: UafKey, { header, authenticators = [] }: UafRequest): boolean {
  if (key.appId !== header.appID) return false
  return authenticators.some(
    ({ aaid, keyID }) => (aaid === '' || aaid === key.aaid) && (keyID === '' || keyID === key.keyId),
  )
}

/** Returns SHA-256 of the first alternative of the transaction, or nothing without one. */
export function hashTransaction({ transaction }: UafRequest, altered: boolean): Uint8Array {
  const content = transaction?.[0]?.content
  if (content === undefined) return new Uint8Array()
  const shown = Buffer.from(content, 'base64url')
  return hash('sha256', altered ? Buffer.concat([shown, Buffer.from(' ')]) : shown, 'buffer')
}
