import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { available } from '../../core/availability.ts'
import { statusOf } from '../../core/fido/status.ts'
import type { TokenRecord, TokenStore } from '../../core/ports/token-store.ts'
import type { UsageStore } from '../../core/ports/usage-store.ts'
import type { Stores } from '../../store/open-stores.ts'
import { serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'

const MAX_SESSIONS = 1_000

/** After every expiry: a sweep at this time deletes all records. */
const END_OF_TIME = Number.MAX_SAFE_INTEGER

const time = z.iso.datetime({ precision: 3 })

/** A nevisFIDO session (L21). */
export const sessionView = z.object({
  session: z.string().meta({ description: 'The digest of the session id: the id itself is a credential.' }),
  tokenId: z.string(),
  operation: z.string(),
  username: z.string().optional(),
  client: z.string().optional(),
  status: z.string(),
  created: time,
  expires: time,
  changed: time,
})

export type SessionView = z.output<typeof sessionView>

export interface SessionsPart extends Part {
  readonly list: () => Promise<SessionView[]>
  /** Notes the sessions that are created from now on: a store cannot list them. */
  readonly watchStores: (stores: Stores) => Stores
}

/** Serves the sessions that were created since the start, and empties the stores of tokens (L21, L22). */
export function createSessionsPart({ shared, clock, running }: PartDependencies): SessionsPart {
  const digests = new Set<string>()

  function note({ sessionDigest }: TokenRecord): void {
    digests.add(sessionDigest)
    const [oldest] = digests
    if (oldest !== undefined && digests.size > MAX_SESSIONS) digests.delete(oldest)
  }

  const collect = shared.define('sessions.collect', () => [...digests])
  const forget = shared.define('sessions.forget', () => digests.clear())
  const forgetRevocations = shared.define('revocations.forget', () => running().revocations.sweep(END_OF_TIME))

  async function list(): Promise<SessionView[]> {
    const known = new Set((await collect(undefined)).flat())
    const { tokens } = running().stores
    const records = await available(Promise.all([...known].map((digest) => tokens.findBySession(digest, clock()))))
    return records
      .filter((record) => record !== undefined)
      .map(describe)
      .toSorted((a, b) => b.created.localeCompare(a.created))
  }

  function describe(record: TokenRecord): SessionView {
    const { status, changedAt } = statusOf(record, clock())
    return {
      session: record.sessionDigest,
      tokenId: record.tokenDigest,
      operation: record.operation,
      username: record.username,
      client: record.client,
      status,
      created: toText(record.createdAt),
      expires: toText(record.expiresAt),
      changed: toText(changedAt),
    }
  }

  return {
    list,
    watchStores(stores) {
      const { tokens } = stores
      const create: TokenStore['create'] = async (record, limit) => {
        const isCreated = await tokens.create(record, limit)
        if (isCreated) note(record)
        return isCreated
      }
      return { ...stores, tokens: { ...tokens, create } }
    },
    resets: {
      async sessions() {
        await empty(running().stores.tokens)
        await forget(undefined)
      },
      tries: () => empty(running().stores.uses),
      async revocations() {
        await available(forgetRevocations(undefined))
      },
    },
    routes(app: FastifyInstance) {
      serveMethods(app, '/sessions', { GET: async () => ({ sessions: await list() }) })
    },
  }
}

/** Deletes every record of a store. */
async function empty(store: TokenStore | UsageStore): Promise<void> {
  await available(store.clear ? store.clear() : store.sweep(END_OF_TIME))
}

function toText(time: number): string {
  return new Date(time).toISOString()
}
