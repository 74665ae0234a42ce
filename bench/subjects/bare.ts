// Bare node:http, to be held against every subject. Not a program of its own.

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Answer } from '../load/http.ts'
import { type BenchmarkProcess, startNode } from './process.ts'

/** As writeHead takes it: names and values in turn, so that a name can stand there twice. */
export interface Reply {
  readonly status: number
  readonly headers: string[]
  readonly body: string
}

export interface BareServer extends AsyncDisposable {
  readonly port: number
  readonly process: BenchmarkProcess
  /** Has it send this from now on. */
  imitate(answer: Answer): Promise<void>
}

/** What node:http adds by itself. */
const OWN_HEADERS = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'])

export async function startBare(core: number | undefined): Promise<BareServer> {
  const bare = startNode({ script: fileURLToPath(import.meta.resolve('./bare-http.ts')), core })
  const [{ port }] = (await once(bare.child, 'message')) as [{ port: number }]
  return {
    port,
    process: bare,
    async imitate(answer) {
      const ready = once(bare.child, 'message')
      bare.child.send(toReply(answer))
      await ready
    },
    [Symbol.asyncDispose]: () => bare[Symbol.asyncDispose](),
  }
}

/** The answer's own headers in their order, its status and its body, to the byte. */
function toReply({ status, head, body }: Answer): Reply {
  const lines = head.split('\r\n').slice(1)
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const own = pairs.filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()))
  return { status, headers: [...own, ['content-length', String(body.length)]].flat(), body }
}
