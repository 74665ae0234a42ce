// One kept-alive connection with one request at a time on it. Not a program of its own.

import { once } from 'node:events'
import { connect } from 'node:net'
import { type Answer, readAnswer } from './http.ts'

export interface Connection {
  /** When the request that is under way was to be sent, in milliseconds of performance.now(). */
  scheduled: number
  send(request: Buffer): void
  close(): void
}

export interface Listeners {
  onAnswer(answer: Answer, connection: Connection): void
  onError(error: Error): void
}

export async function openConnection(port: number, { onAnswer, onError }: Listeners): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  let received = ''
  let isClosed = false
  const connection: Connection = {
    scheduled: 0,
    send: (request) => void socket.write(request),
    close() {
      isClosed = true
      socket.destroy()
    },
  }
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1')
    try {
      const answer = readAnswer(received)
      if (!answer) return
      received = ''
      onAnswer(answer, connection)
    } catch (error) {
      onError(error as Error)
    }
  })
  socket.on('error', onError)
  socket.on('close', () => {
    if (!isClosed) onError(new Error('the server closed a connection'))
  })
  return connection
}

/** One request on a connection of its own. */
export async function askOnce(port: number, request: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const connection = await openConnection(port, { onAnswer: resolve, onError: reject })
  connection.send(Buffer.from(request))
  return promise.finally(() => connection.close())
}
