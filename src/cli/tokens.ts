import { setTimeout as sleep } from 'node:timers/promises'
import { createTokenServices, type TokenServices } from '../app/token-services.ts'
import type { Configuration } from '../config/schema.ts'
import { createKeyring } from '../core/crypto/keyring.ts'
import { HEARTBEAT_TTL_MS } from '../core/heartbeat.ts'
import { createRevocations, type Holder, MAX_STALENESS_MS, type Revocations } from '../core/revocations.ts'
import { toIntrospection } from '../endpoints/introspection-reply.ts'
import type { Stores } from '../store/open-stores.ts'
import { CommandError, type CommandIo } from './io.ts'
import { warnIfUnserved, withStores } from './store.ts'

/** Prints what introspection returns for a token. Does not consume a try. */
export async function inspect(io: CommandIo, token: string): Promise<void> {
  const introspection = await withTokens(io, async ({ lifecycle, origin }) =>
    toIntrospection(await lifecycle.inspect(token), origin),
  )
  io.stdout.write(`${JSON.stringify(introspection, undefined, 2)}\n`)
  if (!introspection.active) throw new CommandError('the token is not active')
}

export interface RevokeOptions {
  readonly app?: string
  readonly account?: string
  readonly user?: string
}

/**
 * Revokes a token, or everything issued so far to an app, account or user. Returns when the revocation is in effect in
 * every process.
 */
export async function revoke(io: CommandIo, token: string | undefined, options: RevokeOptions): Promise<void> {
  const named = [token, options.app, options.account, options.user].filter((name) => name !== undefined)
  if (named.length !== 1) throw new CommandError('expected exactly one of: a token, --app, --account, --user')
  await withTokens(io, async ({ lifecycle }, { revocations, configuration, stores }) => {
    if (token !== undefined) {
      const revoked = await lifecycle.revoke(token)
      if (!revoked) throw new CommandError('nothing revoked: the token is unknown or expired')
      io.stdout.write(`revoked  ${revoked.contract} token ${revoked.tokenId}\n`)
      return
    }
    const holder = holderOf(options, configuration)
    await revocations.revokeIssued(holder)
    io.stdout.write(`revoked  everything issued to ${holder} up to now\n`)
    if (options.user === undefined) await warnOfFastClock(io, stores)
  })
  // Signed tokens state their time in whole seconds: only a token issued in a later second is certainly a new one.
  await sleep(MAX_STALENESS_MS)
}

function holderOf({ app, account, user }: RevokeOptions, { bws, idscan, nevisfido }: Configuration): Holder {
  if (app !== undefined) {
    const known = (bws ? bws.apps : []).some(({ id }) => id === app)
    if (!known) throw new CommandError('unknown app; expected the id of a configured app')
    return `app ${app}`
  }
  if (account !== undefined) {
    const hasName = (username: string) =>
      username === account ||
      (idscan && idscan.usernameCase === 'insensitive' && username.toLowerCase() === account.toLowerCase())
    const known = (idscan ? idscan.accounts : []).find(({ username }) => hasName(username))
    if (!known) throw new CommandError('unknown account; expected the name of a configured account')
    return `account ${known.username}`
  }
  const users = nevisfido ? nevisfido.users : []
  if (users !== '*' && !users.includes(user ?? ''))
    throw new CommandError('unknown user; expected a name listed under nevisfido.users')
  return `user ${user}`
}

/**
 * Warns of a running server whose clock is ahead. The tokens that it has signed claim a later time than the revocation,
 * and become valid then.
 */
async function warnOfFastClock({ clock, stderr }: CommandIo, { replicas }: Stores): Promise<void> {
  const now = clock()
  const latestExpiry = Math.max(now, ...(await replicas.running(now)).map(({ expires }) => expires))
  const aheadMs = latestExpiry - HEARTBEAT_TTL_MS - now
  if (aheadMs < 1_000) return
  const [ahead, pause] = [aheadMs, latestExpiry - now].map((time) => Math.ceil(time / 1_000))
  stderr.write(
    `warning: the clock of a server is ${ahead} s ahead: correct it, and repeat this command in ${pause} s, when the tokens that it has signed are valid\n`,
  )
}

interface CommandState {
  readonly revocations: Revocations
  readonly configuration: Configuration
  readonly stores: Stores
}

function withTokens<Result>(
  io: CommandIo,
  use: (tokens: TokenServices, state: CommandState) => Promise<Result>,
): Promise<Result> {
  return withStores(io, async (stores, configuration) => {
    const { clock } = io
    const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
    const keyring = createKeyring(configuration.keys)
    const services = createTokenServices(configuration, { keyring, stores, revocations, clock })
    await warnIfUnserved(io, stores)
    return use(services, { revocations, configuration, stores })
  })
}
