import { Agent, request } from 'undici'
import type { Environment } from '../config/environment.ts'
import { environmentOf, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

const TIMEOUT = 3_000 // milliseconds

/** Asks the server that has this environment and configuration whether it is alive. */
export async function healthcheck(io: CommandIo): Promise<void> {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, environment)
  // A file that went bad under a running server says nothing of that server: then both ways are tried.
  const schemes = 'issues' in loaded ? ['http', 'https'] : [loaded.configuration.tls ? 'https' : 'http']
  const outcomes: string[] = []
  for (const scheme of schemes) {
    const url = `${scheme}://${authority(environment)}/healthz`
    const outcome = await ask(url)
    if (outcome === 200) return void io.stdout.write(`${url}: alive\n`)
    outcomes.push(`${url}: ${outcome}`)
  }
  throw new CommandError(outcomes.join('\n'))
}

/** An address to bind to is not always one to connect to. */
function authority({ HOST, PORT }: Environment): string {
  const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[HOST] ?? HOST
  return `${host.includes(':') ? `[${host}]` : host}:${PORT}`
}

async function ask(url: string): Promise<number | string> {
  // The server asks after itself: its certificate is for another name than the loopback address.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const { statusCode, body } = await request(url, { dispatcher, signal: AbortSignal.timeout(TIMEOUT) })
    await body.dump()
    return statusCode
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return code ?? name
  } finally {
    await dispatcher.destroy()
  }
}
