import { setTimeout as sleep } from 'node:timers/promises'
import { createTokenServices, type TokenServices } from '../app/token-services.ts'
import type { Configuration } from '../config/schema.ts'
import { createKeyring } from '../core/crypto/keyring.ts'
import { createRevocations, type Holder, MAX_STALENESS_MS, type Revocations } from '../core/revocations.ts'
import { toIntrospection } from '../endpoints/introspection-reply.ts'
import { CommandError, type CommandIo } from './io.ts'
import { withStores } from './store.ts'

/** Prints what introspection says of a token. Uses nothing up. */
export async function inspect(io: CommandIo, token: string): Promise<void> {
  const introspection = await withTokens(io, async ({ lifecycle, origin }) =>
    toIntrospection(await lifecycle.inspect(token), origin),
  )
  io.stdout.write(`${JSON.stringify(introspection, undefined, 2)}\n`)
  if (!introspection.active) throw new CommandError('the token is not good')
}

export interface RevokeOptions {
  readonly app?: string
  readonly account?: string
  readonly user?: string
}

/** Revokes a token, or all that was issued to somebody up to now. Comes back when that is in force in every process. */
export async function revoke(io: CommandIo, token: string | undefined, options: RevokeOptions): Promise<void> {
  const named = [token, options.app, options.account, options.user].filter((name) => name !== undefined)
  if (named.length !== 1) throw new CommandError('say what to revoke: a token, --app, --account or --user; one of them')
  await withTokens(io, async ({ lifecycle }, revocations, configuration) => {
    if (token !== undefined) {
      const revoked = await lifecycle.revoke(token)
      if (!revoked) throw new CommandError('there is nothing to revoke: it is no token of ours, or no longer one')
      io.stdout.write(`revoked  ${revoked.contract} token ${revoked.tokenId}\n`)
      return
    }
    const holder = holderOf(options, configuration)
    await revocations.revokeIssued(holder)
    io.stdout.write(`revoked  everything issued to ${holder} up to now\n`)
  })
  // Signed tokens tell their time by the second: what is issued from now on is another one, and not taken for an old one.
  await sleep(MAX_STALENESS_MS)
}

function holderOf({ app, account, user }: RevokeOptions, { bws, idscan, nevisfido }: Configuration): Holder {
  if (app !== undefined) {
    const known = (bws ? bws.apps : []).some(({ id }) => id === app)
    if (!known) throw new CommandError('there is no such app')
    return `app ${app}`
  }
  if (account !== undefined) {
    const isMeant = (username: string) =>
      username === account ||
      (idscan && idscan.usernameCase === 'insensitive' && username.toLowerCase() === account.toLowerCase())
    const known = (idscan ? idscan.accounts : []).find(({ username }) => isMeant(username))
    if (!known) throw new CommandError('there is no such account')
    return `account ${known.username}`
  }
  const users = nevisfido ? nevisfido.users : []
  if (users !== '*' && !users.includes(user ?? '')) throw new CommandError('there is no such user')
  return `user ${user}`
}

function withTokens<Result>(
  io: CommandIo,
  use: (tokens: TokenServices, revocations: Revocations, configuration: Configuration) => Promise<Result>,
): Promise<Result> {
  return withStores(io, (stores, configuration) => {
    const { clock } = io
    const revocations = createRevocations({ store: stores.revocations, clock, uptime: clock })
    const keyring = createKeyring(configuration.keys)
    return use(createTokenServices(configuration, { keyring, stores, revocations, clock }), revocations, configuration)
  })
}
