// The entry of a program that serves as src/main.ts does, and drops log lines soon if nobody reads them.

import { startServing } from '../../src/process/start.ts'

await startServing({ log: { maxBufferedBytes: 256 * 1024 } })
