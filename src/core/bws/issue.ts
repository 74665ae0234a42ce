import { type Clock, numericDate } from '../clock.ts'
import { signJws } from '../crypto/jws.ts'
import { type Keyring, signingKey } from '../crypto/keyring.ts'
import type { SecretSlot } from '../crypto/secrets.ts'
import type { Randomness } from '../randomness.ts'
import { type Bcid, formatBcid, partitionOf } from './bcid.ts'
import { createChallenges } from './challenges.ts'
import { type BwsTask, effectiveOptions, encodeTask, type TaskOptions } from './task.ts'
import { type BwsTrait, encodeTraits } from './traits.ts'

/** A caller of the BWS token service, and what its tokens may contain. */
export interface BwsApp {
  readonly id: string
  readonly secrets: readonly SecretSlot[]
  /** The `clnt` claim. */
  readonly client: string
  readonly issuer: string
  readonly audience: string
  readonly lifetimeSeconds: number
  /** Format of the `challenge` claim: an array, or JSON text (B30). */
  readonly challengeClaim: 'array' | 'string'
  readonly tasks: ReadonlySet<BwsTask>
  /** Each as `storage/partition`. */
  readonly partitions: ReadonlySet<string> | '*'
}

/** A valid request, with defaults applied. */
export interface BwsTokenRequest extends TaskOptions {
  readonly id: string
  /** Optional for a liveness detection only (B9). */
  readonly bcid?: Bcid | undefined
  /** How many movements each row of a challenge has. */
  readonly challenges: number
  readonly traits: readonly BwsTrait[]
}

export type BwsTokenResult =
  | { readonly token: string; readonly tokenId: string }
  | { readonly refused: 'foreign_id' | 'task_not_allowed' | 'bcid_not_allowed' }

export interface BwsIssuer {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly randomness: Randomness
}

/**
 * Issues a BWS token, or returns why the app may not have it.
 *
 * @see docs/contracts/bws.md
 */
export function issueBwsToken(app: BwsApp, request: BwsTokenRequest, issuer: BwsIssuer): BwsTokenResult {
  const { id, bcid, task, traits } = request
  if (id !== app.id) return { refused: 'foreign_id' }
  if (!app.tasks.has(task)) return { refused: 'task_not_allowed' }
  if (bcid && app.partitions !== '*' && !app.partitions.has(partitionOf(bcid))) return { refused: 'bcid_not_allowed' }

  const now = issuer.clock()
  const notBefore = numericDate(now)
  const tokenId = issuer.randomness.uuid()
  const claims = {
    tokenid: tokenId,
    clnt: app.client,
    app: app.id,
    bcid: bcid ? formatBcid(bcid) : '',
    traits: encodeTraits(traits),
    task: encodeTask(request),
    challenge: challengeClaim(app, request, issuer.randomness),
    iss: app.issuer,
    aud: app.audience,
    exp: notBefore + app.lifetimeSeconds,
    nbf: notBefore,
  }
  return { token: signJws(claims, signingKey(issuer.keyring, now)), tokenId }
}

/** Creates the `challenge` claim; undefined leaves it out. */
function challengeClaim(app: BwsApp, request: BwsTokenRequest, randomness: Randomness) {
  if (!effectiveOptions(request).challenge) return undefined
  const rows = createChallenges(request.maxtries, request.challenges, randomness)
  return app.challengeClaim === 'string' ? JSON.stringify(rows) : rows
}
