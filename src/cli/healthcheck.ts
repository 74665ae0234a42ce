import { askServer } from './ask-server.ts'
import type { CommandIo } from './io.ts'

/**
 * Asks the server with this environment and configuration whether it is alive.
 *
 * @param ready asks instead whether it can serve, which also depends on its store.
 */
export async function healthcheck(io: CommandIo, { ready = false }: { ready?: boolean } = {}): Promise<void> {
  const { url } = await askServer(io, ready ? '/readyz' : '/healthz', (status) => status === 200)
  io.stdout.write(`${url}: ${ready ? 'ready' : 'alive'}\n`)
}
