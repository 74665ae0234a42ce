import type { Credential, CredentialStore } from '../core/ports/credential-store.ts'
import { foldAaid } from '../core/uaf/aaid.ts'
import { CommandError, type CommandIo, printable } from './io.ts'
import { warnIfUnserved, withStores } from './store.ts'

const MAX_CREDENTIALS = 100_000

export interface CredentialOptions {
  readonly user?: string
  readonly aaid?: string
  readonly key?: string
}

/** Prints registered keys: when each was registered and last used, its AAID, key id, counter and user. */
export async function listCredentials(io: CommandIo, options: CredentialOptions): Promise<void> {
  await withStores(io, async (stores) => {
    await warnIfUnserved(io, stores)
    const credentials = await select(stores.credentials, options)
    for (const credential of credentials) io.stdout.write(`${format(credential)}\n`)
    if (credentials.length < MAX_CREDENTIALS) return
    io.stderr.write(`warning: only ${MAX_CREDENTIALS} keys are shown; expected --user to select fewer\n`)
  })
}

/** Deletes registered keys. An authentication with them is refused from then on. */
export async function removeCredentials(io: CommandIo, options: CredentialOptions): Promise<void> {
  if (!options.user && !options.aaid && !options.key)
    throw new CommandError('nothing to remove; expected --user, --aaid, --key, or several of them')
  await withStores(io, async (stores) => {
    await warnIfUnserved(io, stores)
    const credentials = await select(stores.credentials, options)
    for (const credential of credentials) {
      if (await stores.credentials.remove(credential)) io.stdout.write(`removed  ${format(credential)}\n`)
    }
    if (credentials.length === 0) throw new CommandError('nothing removed: no such key; see trimint credentials list')
  })
}

async function select(store: CredentialStore, { user, aaid, key }: CredentialOptions): Promise<Credential[]> {
  const credentials = user === undefined ? await store.list(MAX_CREDENTIALS) : await store.findByUser(user)
  return credentials.filter(
    (credential) =>
      (aaid === undefined || foldAaid(credential.aaid) === foldAaid(aaid)) &&
      (key === undefined || credential.keyId === key),
  )
}

function format({ registeredAt, lastUsedAt, aaid, keyId, signCounter, username }: Credential): string {
  const times = [registeredAt, lastUsedAt].map((time) => (time === undefined ? 'never' : new Date(time).toISOString()))
  // As JSON: a user name may contain line breaks.
  return [...times, aaid, keyId, signCounter, printable(JSON.stringify(username))].join('  ')
}
