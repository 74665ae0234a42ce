import { type Configuration, isInMemory } from '../config/schema.ts'
import { openStores, type Stores } from '../store/open-stores.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

/**
 * Opens the stores of the server with this environment and configuration, and closes them after use.
 *
 * @throws CommandError if the store cannot be reached.
 */
export async function withStores<Result>(
  io: CommandIo,
  use: (stores: Stores, configuration: Configuration) => Promise<Result>,
): Promise<Result> {
  const configuration = configurationOf(io)
  return withStoresAt(configuration.store, { create: false }, (stores) => use(stores, configuration))
}

/** Returns the configuration of the server. @throws CommandError if its store is in its memory. */
export function configurationOf(io: CommandIo): Configuration {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  const { configuration } = loaded
  if (!isInMemory(configuration)) return configuration
  throw new CommandError('the store is in the memory of the server: this command cannot reach it')
}

/** Opens the stores at a URL, and closes them after use. @throws CommandError if the store cannot be reached. */
export async function withStoresAt<Result>(
  url: string,
  { create }: { create: boolean },
  use: (stores: Stores) => Promise<Result>,
): Promise<Result> {
  let stores: Stores
  try {
    stores = await openStores(url, { create })
  } catch (error) {
    const hint = 'expected the store of a server, which creates it when it starts: see TRIMINT_CONFIG and store'
    throw new CommandError(`the store cannot be opened: ${(error as Error).message}${create ? '' : `; ${hint}`}`)
  }
  try {
    return await use(stores)
  } catch (error) {
    if (error instanceof CommandError) throw error
    const { message, cause } = error as Error
    throw new CommandError(`the store does not answer: ${cause instanceof Error ? cause.message : message}`)
  } finally {
    await stores.close()
  }
}

/** Warns if no server has announced itself in the store lately: it may not be the store of the running servers. */
export async function warnIfUnserved({ clock, stderr }: CommandIo, { replicas }: Stores): Promise<void> {
  if ((await replicas.running(clock())).length > 0) return
  stderr.write('warning: no running server has announced itself in this store; is it the store of your servers?\n')
}
