import { available } from '../availability.ts'
import type { Clock } from '../clock.ts'
import { digestSecret, matchSecret } from '../crypto/secrets.ts'
import type { CredentialStore } from '../ports/credential-store.ts'
import type { SessionOutcome, Settlement, TokenRecord, TokenStore } from '../ports/token-store.ts'
import { type OpenedAuthentication, openAuthentication, verifyAuthentication } from '../uaf/authentication.ts'
import { demand, UAF_FAILURES, UafError, type UafFailure } from '../uaf/failure.ts'
import { type OpenedRegistration, openRegistration, verifyRegistration } from '../uaf/registration.ts'
import type { UafResponse } from '../uaf/response.ts'
import type { UafRules } from '../uaf/verdict.ts'
import type { FidoOperation } from './operation.ts'
import { readSentRequest, type SentRequest, transactionHashesOf } from './sent-request.ts'
import { SUCCESS } from './status.ts'
import type { FidoTokens } from './tokens.ts'
import { tokenDigestOf } from './uaf-request.ts'

/** The operations that a response follows. */
export type AnsweredOperation = Exclude<FidoOperation, 'deregistration'>

/**
 * What became of a response. Only `succeeded` and `failed` settle the session; with the others it stays as it was.
 *
 * - `unknown`: no session has this server data (U12).
 * - `misdirected`: the session is for another operation (U11).
 * - `ended`: the session was answered before, or revoked (U12).
 * - `late`: after the response lifetime (U13).
 */
export type ResponseResult =
  | { readonly outcome: 'unknown' }
  | { readonly outcome: 'misdirected' | 'ended' | 'late'; readonly record: TokenRecord }
  | { readonly outcome: 'succeeded'; readonly record: TokenRecord }
  | { readonly outcome: 'failed'; readonly record: TokenRecord; readonly failure: UafFailure }

/** Takes the responses of FIDO clients. */
export interface FidoResponses {
  /**
   * Verifies a response and settles its session, at most once on any number of instances.
   *
   * @param asmStatusCode what the client tells of its authenticator (U16).
   * @throws StoreUnavailableError when the store fails.
   */
  take(operation: AnsweredOperation, response: UafResponse, asmStatusCode: number | undefined): Promise<ResponseResult>
}

export interface FidoResponsesDependencies {
  readonly tokens: Pick<FidoTokens, 'findByDigest'>
  readonly store: TokenStore
  readonly credentials: CredentialStore
  readonly rules: UafRules
  /** Whether a user name is in the credential repository (N12). */
  readonly isKnownUser: (username: string) => boolean
  readonly clock: Clock
}

/** A session that a response may settle. */
interface Session {
  readonly record: TokenRecord
  readonly redeemedAt: number
  readonly request: SentRequest
}

/** What a verification found. */
type Verdict = Omit<Settlement, 'outcome'> & { readonly outcome: Pick<SessionOutcome, 'authenticators' | 'username'> }

/** Each attempt after the first follows a change of the same keys by another response. */
const MAX_ATTEMPTS = 10

export function createFidoResponses(dependencies: FidoResponsesDependencies): FidoResponses {
  const { tokens, store, credentials, rules, isKnownUser, clock } = dependencies

  async function findSession(serverData: string): Promise<Session | undefined> {
    const record = await tokens.findByDigest(tokenDigestOf(serverData))
    const redeemedAt = record?.redeemedAt
    if (!record || redeemedAt === undefined) return undefined
    const request = readSentRequest(record.uafRequest)
    const digest = digestSecret(request.header.serverData)
    const matched = matchSecret(serverData, [{ digest, notAfter: Number.POSITIVE_INFINITY }], clock())
    return matched === undefined ? undefined : { record, redeemedAt, request }
  }

  /** Returns a function that verifies the response with the keys as they are now. */
  function open(session: Session, response: UafResponse, now: number): () => Promise<Verdict> {
    const { record, request } = session
    const expected = { appId: rules.appId, challenge: request.challenge, facets: rules.facets }
    if (record.operation === 'registration') {
      const opened = openRegistration(response, expected)
      return () => verifyKeys(opened, session, now)
    }
    const opened = openAuthentication(response, expected)
    return () => verifyUses(opened, session)
  }

  async function verifyKeys(opened: OpenedRegistration, { record, request }: Session, now: number): Promise<Verdict> {
    // A registration always names its user (N10).
    const { username = '' } = record
    const { policy } = request
    const registered = await available(credentials.find(opened.names))
    const keys = verifyRegistration(opened, { rules, policy, username, registered, now })
    const registrations = keys.map((key) => ({ ...key, username, registeredAt: now, lastUsedAt: undefined }))
    return { registrations, uses: [], outcome: { authenticators: keys.map(nameOf), username } }
  }

  async function verifyUses(opened: OpenedAuthentication, { record, request }: Session): Promise<Verdict> {
    const registered = await available(credentials.find(opened.names))
    const { username, uses } = verifyAuthentication(opened, {
      rules,
      policy: request.policy,
      username: record.username,
      isKnownUser,
      transactionHashes: transactionHashesOf(request),
      registered,
    })
    const authenticators = uses.map(({ credential }) => nameOf(credential))
    return { registrations: [], uses, outcome: { authenticators, username } }
  }

  async function settle(
    session: Session,
    response: UafResponse,
    told: Pick<SessionOutcome, 'settledAt' | 'asmStatusCode'>,
  ): Promise<ResponseResult> {
    const { record } = session
    const now = told.settledAt
    try {
      const verify = open(session, response, now)
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const { outcome, ...changes } = await verify()
        const settlement = { ...changes, outcome: { ...told, ...outcome, statusCode: SUCCESS } }
        const result = await available(store.settle(record.tokenDigest, settlement, now))
        demand(result !== 'full', 'too_many_keys')
        if (result !== 'conflict') return { outcome: result === 'settled' ? 'succeeded' : 'ended', record }
      }
      throw new Error(`the keys of a response changed ${MAX_ATTEMPTS} times while it was verified`)
    } catch (error) {
      if (!(error instanceof UafError)) throw error
      const { failure } = error
      const outcome = { ...told, statusCode: UAF_FAILURES[failure] }
      const settlement = { outcome, registrations: [], uses: [] }
      const result = await available(store.settle(record.tokenDigest, settlement, now))
      return result === 'settled' ? { outcome: 'failed', failure, record } : { outcome: 'ended', record }
    }
  }

  return {
    async take(operation, response, asmStatusCode) {
      const session = await findSession(response.header.serverData)
      if (!session) return { outcome: 'unknown' }
      const { record, redeemedAt } = session
      if (record.operation !== operation) return { outcome: 'misdirected', record }
      if (record.revokedAt !== undefined || record.outcome) return { outcome: 'ended', record }
      const now = clock()
      if (now >= redeemedAt + record.responseLifetime) return { outcome: 'late', record }
      return settle(session, response, { settledAt: now, asmStatusCode })
    },
  }
}

function nameOf({ aaid, keyId }: { readonly aaid: string; readonly keyId: string }) {
  return { aaid, keyId }
}
