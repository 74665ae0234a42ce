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
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  const { configuration } = loaded
  if (isInMemory(configuration)) {
    throw new CommandError('the store is in the memory of the server: this command cannot reach it')
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
