import { type Configuration, isInMemory } from '../config/schema.ts'
import { openStores, type Stores } from '../store/open-stores.ts'
import { environmentOf, formatFaults, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

/** Does something with the store of the server that has this environment and configuration. */
export async function withStores<Result>(
  io: CommandIo,
  use: (stores: Stores, configuration: Configuration) => Promise<Result>,
): Promise<Result> {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatFaults(loaded.issues))
  const { configuration } = loaded
  if (isInMemory(configuration)) {
    throw new CommandError('the store is in the memory of the server: it cannot be reached from here')
  }
  let stores: Stores
  try {
    stores = await openStores(configuration.store, { onError: () => undefined, onFatal: () => undefined })
  } catch (error) {
    throw new CommandError(`the store cannot be opened: ${(error as Error).message}`)
  }
  try {
    return await use(stores, configuration)
  } catch (error) {
    if (error instanceof CommandError) throw error
    const { message, cause } = error as Error
    throw new CommandError(`the store does not answer: ${cause instanceof Error ? cause.message : message}`)
  } finally {
    await stores.close()
  }
}
