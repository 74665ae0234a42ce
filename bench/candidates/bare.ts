// Bare node:http that sends the same bytes as a candidate: what every candidate is compared with.

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BenchEnvironment } from '../environment.ts'
import type { Requests } from '../load/client.ts'
import { type Answer, formatRequest } from '../load/http.ts'
import { startServer } from '../server.ts'
import type { Target } from './candidate.ts'

/** A reply as `writeHead` takes it: names and values in turn, so that a name can repeat. */
export interface Reply {
  readonly status: number
  readonly headers: string[]
  readonly body: string
  /** The algorithm of a signature to verify for each request. */
  readonly algorithm?: number | undefined
}

export type BareServer = Awaited<ReturnType<typeof startBare>>

/** The headers that node:http adds itself, and Content-Length, which is computed. */
const ADDED_HEADERS = new Set(['date', 'connection', 'keep-alive', 'content-length'])

export async function startBare(environment: BenchEnvironment) {
  const command = [process.execPath, fileURLToPath(import.meta.resolve('./bare-server.ts'))]
  const server = await startServer(command, environment.place('bare'), formatRequest('GET /'))
  return {
    /** Returns a target that answers as a candidate does, from each preparation on. */
    imitate(answer: Answer, requests: Requests, algorithm?: number): Target {
      const reply = { ...toReply(answer), algorithm }
      return {
        server,
        requests,
        async prepare() {
          const ready = once(server.child, 'message')
          server.child.send(reply)
          await ready
        },
      }
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
