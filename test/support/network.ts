import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline, Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** A proxy between two programs that simulates a bad network. */
export interface Network extends AsyncDisposable {
  readonly port: number
  /** Delays everything in both directions. */
  slowDown(delayMs: number): void
  /** Holds everything back until `resume`. */
  hold(): void
  resume(): void
  /** Closes every connection, unless they are to stay open, and forwards new ones to another port. */
  leadTo(port: number, options?: { readonly keepOpen?: boolean }): void
  /** Forwards nothing more on the connections that are open, and leaves them open. New ones work. */
  swallow(): void
}

export async function startNetwork(to: number): Promise<Network> {
  let target = to
  let delayMs = 0
  let gate = Promise.withResolvers<void>()
  gate.resolve()
  const sockets = new Set<Socket>()

  function createWay(): Transform {
    let last: Promise<unknown> = Promise.resolve()
    return new Transform({
      transform(chunk, _encoding, done) {
        // Delay each chunk from its own arrival: this adds latency and does not limit the bandwidth.
        const way = delayMs > 0 ? sleep(delayMs) : undefined
        last = Promise.all([last, way])
          .then(() => gate.promise)
          .then(() => this.push(chunk))
        done()
      },
      flush: (done) => void last.then(() => done()),
    })
  }

  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
    // When one side closes, close the other. Errors are expected.
    pipeline(near, createWay(), far, () => near.destroy())
    pipeline(far, createWay(), near, () => far.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  function cut(): void {
    for (const socket of sockets) socket.destroy()
  }

  return {
    port: (server.address() as AddressInfo).port,
    slowDown(milliseconds) {
      delayMs = milliseconds
    },
    hold() {
      gate = Promise.withResolvers()
    },
    resume: () => gate.resolve(),
    leadTo(port, { keepOpen = false } = {}) {
      target = port
      if (!keepOpen) cut()
    },
    swallow() {
      for (const socket of sockets) socket.unpipe().pause()
    },
    async [Symbol.asyncDispose]() {
      gate.resolve()
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
