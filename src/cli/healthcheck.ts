import { Agent, request } from 'undici'
import type { Environment } from '../config/environment.ts'
import { environmentOf, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

const TIMEOUT_MS = 3_000

/**
 * Asks the server with this environment and configuration whether it is alive.
 *
 * @param ready asks instead whether it can serve, which also depends on its store.
 */
export async function healthcheck(io: CommandIo, { ready = false }: { ready?: boolean } = {}): Promise<void> {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, environment)
  // The running server may have loaded an earlier version of an invalid file: try both schemes.
  const schemes = 'issues' in loaded ? ['http', 'https'] : [loaded.configuration.tls ? 'https' : 'http']
  const outcomes: string[] = []
  for (const scheme of schemes) {
    const url = `${scheme}://${authority(environment)}${ready ? '/readyz' : '/healthz'}`
    const outcome = await ask(url)
    if (outcome === 200) return void io.stdout.write(`${url}: ${ready ? 'ready' : 'alive'}\n`)
    outcomes.push(`${url}: ${outcome}`)
  }
  throw new CommandError(outcomes.join('\n'))
}

/** Returns the address to connect to: a wildcard address can only be listened on. */
function authority({ HOST, PORT }: Environment): string {
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? HOST
  return `${host.includes(':') ? `[${host}]` : host}:${PORT}`
}

async function ask(url: string): Promise<number | string> {
  // The certificate is for the public name, not for the loopback address.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const { statusCode, body } = await request(url, { dispatcher, signal: AbortSignal.timeout(TIMEOUT_MS) })
    await body.dump()
    return statusCode
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return code ?? name
  } finally {
    await dispatcher.destroy()
  }
}
