// Sends the benchmark the port that a peer listens on.

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export function listenAndAnnounce(server: Server): void {
  server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
}

export function announce(port: number): void {
  process.send?.({ port })
}
