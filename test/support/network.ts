import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline, Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** A network between two programs, which can be as bad as one likes. */
export interface Network extends AsyncDisposable {
  readonly port: number
  /** Lets everything wait for so many milliseconds, either way. */
  slowDown(delay: number): void
  /** Swallows everything, for as long as it is not resumed, and then hands it on. */
  hold(): void
  resume(): void
  /** Ends every connection, and leads those that come to another port. */
  leadTo(port: number): void
}

export async function startNetwork(to: number): Promise<Network> {
  let target = to
  let delay = 0
  let gate = Promise.withResolvers<void>()
  gate.resolve()
  const sockets = new Set<Socket>()

  function createWay(): Transform {
    let last: Promise<unknown> = Promise.resolve()
    return new Transform({
      transform(chunk, _encoding, done) {
        // What follows is under way at the same time: a long way, not a narrow one.
        const way = delay > 0 ? sleep(delay) : undefined
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
    // What ends on one side ends on the other; that it ends is all there is to know.
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
      delay = milliseconds
    },
    hold() {
      gate = Promise.withResolvers()
    },
    resume: () => gate.resolve(),
    leadTo(port) {
      target = port
      cut()
    },
    async [Symbol.asyncDispose]() {
      gate.resolve()
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
