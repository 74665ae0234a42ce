// What subjects share in a run: a folder, and a Redis. Not a program of its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cores } from '../machine.ts'
import { type BenchmarkRedis, startDurableRedis } from '../redis.ts'
import { onCore } from './process.ts'
import type { Surroundings } from './subject.ts'

export async function createSurroundings(cores: Cores): Promise<Surroundings & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-'))
  let redis: Promise<BenchmarkRedis> | undefined
  return {
    core: cores.server,
    folder,
    async redis() {
      redis ??= startDurableRedis(onCore(cores.generator))
      return (await redis).url
    },
    async [Symbol.asyncDispose]() {
      await (await redis)?.[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
