import { Agent, request } from 'undici'
import { environmentOf, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'
import { authorityOf } from './server-url.ts'

const TIMEOUT_MS = 3_000

export interface ServerReply {
  readonly url: string
  readonly status: number
  readonly body: string
}

/**
 * Sends a GET to the server with this environment and configuration.
 *
 * @param isExpected tells which statuses are an answer.
 * @throws CommandError that says what each attempt came to.
 */
export async function askServer(
  io: CommandIo,
  path: string,
  isExpected: (status: number) => boolean,
): Promise<ServerReply> {
  const environment = environmentOf(io)
  const loaded = loadAsServer(io, environment)
  // The running server may have loaded an earlier version of an invalid file: try both schemes.
  const schemes = 'issues' in loaded ? ['http', 'https'] : [loaded.configuration.tls ? 'https' : 'http']
  const outcomes: string[] = []
  for (const scheme of schemes) {
    const url = `${scheme}://${authorityOf(environment)}${path}`
    const reply = await ask(url)
    if (typeof reply !== 'string' && isExpected(reply.status)) return reply
    outcomes.push(`${url}: ${typeof reply === 'string' ? reply : reply.status}`)
  }
  throw new CommandError(outcomes.join('\n'))
}

/** Returns the reply, or the code of the error. */
async function ask(url: string): Promise<ServerReply | string> {
  // The certificate is for the public name, not for the loopback address.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const { statusCode, body } = await request(url, { dispatcher, signal: AbortSignal.timeout(TIMEOUT_MS) })
    return { url, status: statusCode, body: await body.text() }
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return code ?? name
  } finally {
    await dispatcher.destroy()
  }
}
