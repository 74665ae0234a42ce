// Bare node:http that sends the same bytes as a candidate: what every candidate is compared with.

import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchEnvironment } from '../environment.ts'
import type { Answer } from '../load/http.ts'
import { firstMessage, type MeasuredProcess, startNode } from '../process.ts'

/** A reply as `writeHead` takes it: names and values in turn, so that a name can repeat. */
export interface Reply {
  readonly status: number
  readonly headers: string[]
  readonly body: string
  /** A signature to verify for each request. */
  readonly verification?: Verification | undefined
}

export interface Verification {
  /** A public key in PEM. */
  readonly key: string
  /** Options of node:crypto's `verify`. */
  readonly options: object
  readonly text: string
  /** In base64. */
  readonly signature: string
}

export interface BareServer extends AsyncDisposable {
  readonly port: number
  readonly process: MeasuredProcess
  /** Makes it send this answer from now on. */
  imitate(answer: Answer, verification?: Verification): Promise<void>
}

/** The headers that node:http adds itself, and Content-Length, which is computed. */
const ADDED_HEADERS = new Set(['date', 'connection', 'keep-alive', 'content-length'])

export async function startBare({ cores, folder }: BenchEnvironment): Promise<BareServer> {
  const script = fileURLToPath(import.meta.resolve('./bare-server.ts'))
  const server = startNode([script], { core: cores.server, folder: join(folder, 'bare') })
  const { port } = await firstMessage<{ port: number }>(server)
  return {
    port,
    process: server,
    async imitate(answer, verification) {
      const ready = once(server.child, 'message')
      server.child.send({ ...toReply(answer), verification })
      await ready
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function toReply({ status, head, body }: Answer): Reply {
  const lines = head.split('\r\n').slice(1)
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const own = pairs.filter(([name]) => !ADDED_HEADERS.has(name.toLowerCase()))
  return { status, headers: [...own, ['content-length', String(body.length)]].flat(), body }
}
