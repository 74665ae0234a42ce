// Whether the service stays as it is over a long time: tokens of each kind are issued, checked, redeemed, introspected and revoked,
// its clock goes so fast that they expire meanwhile, and its memory, its descriptors and what its store holds are looked at all the
// while. Ends with 1 where anything was answered wrong, memory climbs, or the store does not go back to what it was.
//
//   node bench/soak.ts [--store sqlite|redis] [--tokens N] [--minutes N] [--speed N]
//   (N tokens of each kind, a million; N minutes at most, 30; N seconds of the service's clock in one, 30)

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient } from 'redis'
import type { ConfigurationInput } from '../src/config/schema.ts'
import { startRedis } from '../test/support/redis.ts'
import { SOAKED, startLoad } from './soak-load.ts'
import type { SoakCommand, SoakSettings } from './soak-service.ts'
import { adopt, printTable, readCount } from './support.ts'

const CALLERS = 32
const SEED = 20_261_122

/** How often the service is looked at, and how often its configuration is put in force again, during a run. */
const SAMPLES = 24
const RELOADS = 8

/** Of the samples: those that are not counted. Of the rest, the first and the second half are compared. */
const WARM_UP = 0.25

/** How much more there may be at the end. */
const FLAT = 1.1

/** Milliseconds: longer than anything but revocations of whole apps is kept. */
const LONG = 6 * 3_600_000

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    tokens: { type: 'string', default: '1000000' },
    minutes: { type: 'string', default: '30' },
    speed: { type: 'string', default: '30' },
  },
})
const tokens = readCount(values.tokens, 100_000_000)
const minutes = readCount(values.minutes, 10_000)
const speed = readCount(values.speed, 10_000)

interface Sample {
  readonly issued: number
  /** MiB. */
  readonly resident: number
  /** MiB, of the heap, when all that nobody holds is gone. */
  readonly heap: number
  readonly descriptors: number
  /** Records of any kind. */
  readonly records: number
  /** MiB that the store takes, or that it does not have free inside. */
  readonly store: number
}

type Held = Pick<Sample, 'records' | 'store'>

interface Storage extends AsyncDisposable {
  readonly name: string
  measure(): Promise<Held>
  /** Has that much time (milliseconds) pass for what the store clears away by itself. */
  advance(time: number): Promise<void>
}

const MIB = 2 ** 20

async function openFile(): Promise<Storage> {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-soak-'))
  const file = join(folder, 'trimint.db')
  return {
    name: `sqlite:${file}`,
    async measure() {
      const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
      const number = (query: string) => Number(Object.values(database.prepare(query).get() ?? {})[0])
      const tables = ['tokens', 'uses', 'revocations', 'failures', 'replicas']
      const records = tables.reduce((sum, table) => sum + number(`SELECT count(*) FROM ${table}`), 0)
      const pages = number('PRAGMA page_count') - number('PRAGMA freelist_count')
      const store = (pages * number('PRAGMA page_size')) / MIB
      database.close()
      return { records, store }
    },
    advance: async () => undefined,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** Keys that are not one record each, and stay. */
const LASTING = /^trimint:(?:replicas|signing-keys|revocations|revocations-by-end|failures|failures-by-end)$/

/** Milliseconds: what is to go anyway goes now. */
const AT_ONCE = 1

async function openRedis(): Promise<Storage> {
  const redis = await startRedis()
  const client = createClient({ url: redis.url })
  await client.connect()
  return {
    name: redis.url,
    async measure() {
      const memory = /^used_memory:([0-9]+)/m.exec(await client.info('memory'))?.[1]
      const revocations = await client.xLen('trimint:revocations')
      return { records: (await client.dbSize()) + revocations, store: Number(memory) / MIB }
    },
    // Redis has its own clock, which nobody can set: so every key is given less time.
    async advance(time) {
      for await (const keys of client.scanIterator({ COUNT: 1_000 })) {
        const moves = keys.map(async (key) => {
          const left = await client.pTTL(key)
          if (left > 0) await client.pExpire(key, Math.max(AT_ONCE, left - time))
          else if (left === -1 && !LASTING.test(key)) throw new Error(`${key} would stay for ever`)
        })
        await Promise.all(moves)
      }
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
      await redis.stop()
    },
  }
}

async function startSubject(store: string) {
  const configuration: ConfigurationInput = {
    ...SOAKED,
    store,
    keys: [{ secret: randomBytes(32).toString('base64url') }],
  }
  const settings: SoakSettings = { configuration, speed }
  const child = fork(new URL('./soak-service.ts', import.meta.url), [JSON.stringify(settings)], {
    execArgv: ['--expose-gc'],
  })
  adopt(child)
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  let turn: Promise<unknown> = Promise.resolve()

  /** One after the other: an answer does not say to what. */
  function tell(command: SoakCommand): Promise<number> {
    const told = turn.then(async () => {
      child.send(command)
      const [{ heapUsed }] = (await once(child, 'message')) as [{ heapUsed: number }]
      return heapUsed
    })
    turn = told.catch(() => undefined)
    return told
  }

  async function measure(issued: number, storage: Storage): Promise<Sample> {
    const heapUsed = await tell('measure')
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
    const descriptors = await readdir(`/proc/${child.pid}/fd`).catch(() => [])
    return {
      issued,
      resident: Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1024,
      heap: heapUsed / MIB,
      descriptors: descriptors.length,
      ...(await storage.measure()),
    }
  }

  return {
    url,
    tell,
    measure,
    async end() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

/** How much more there was at most in the second half than in the first: what is given back in between is nothing gained. */
function growthOf(samples: readonly Sample[], read: (sample: Sample) => number): number {
  const counted = samples.slice(Math.ceil(samples.length * WARM_UP))
  const half = Math.ceil(counted.length / 2)
  const most = (some: readonly Sample[]) => Math.max(...some.map(read))
  return most(counted.slice(half)) / most(counted.slice(0, half))
}

await using storage = values.store === 'redis' ? await openRedis() : await openFile()
const subject = await startSubject(storage.name)
const before = await subject.measure(0, storage)
const began = performance.now()
const load = startLoad({ url: subject.url, tokens, callers: CALLERS, seed: SEED })
const deadline = setTimeout(load.stop, minutes * 60_000)
const samples: Sample[] = []
let isDone = false
const done = load.done.finally(() => {
  isDone = true
})
while (!isDone) {
  const progress = Math.max(load.issued() / tokens, (performance.now() - began) / (minutes * 60_000))
  if (progress < (samples.length + 1) / SAMPLES) {
    await Promise.race([done, sleep(Math.min(1_000, tokens / 100))])
    continue
  }
  samples.push(await subject.measure(load.issued(), storage))
  if (samples.length % (SAMPLES / RELOADS) === 0) await subject.tell('reload')
}
await done
clearTimeout(deadline)
const seconds = (performance.now() - began) / 1000
const last = await subject.measure(load.issued(), storage)

// What is noted but not written yet is written at a reload.
await subject.tell('reload')
await storage.advance(LONG)
await subject.tell({ advance: LONG })
let after = last
// As long as records go: at the least by a slice of those that a store clears away at once, however busy the machine is.
for (let look = 0, left = 150; left > 0 && (look < 2 || after.records > before.records + 10); look++) {
  if (look % 50 === 0) await subject.tell('reload')
  await sleep(200)
  const sample = await subject.measure(load.issued(), storage)
  left = sample.records < after.records ? 150 : left - 1
  after = sample
}
await subject.end()

const row = (name: string, { issued, resident, heap, descriptors, records, store }: Sample) => [
  name,
  ...[issued, resident.toFixed(1), heap.toFixed(2), descriptors, records, store.toFixed(2)].map(String),
]
const shown = samples.filter((_, at) => (at + 1) % (SAMPLES / RELOADS) === 0)
printTable(
  ['when', 'tokens of each kind', 'resident MiB', 'heap MiB', 'descriptors', 'records', 'store MiB in use'],
  [
    row('before', before),
    ...shown.map((sample) => row(`${Math.round((sample.issued / load.issued()) * 100)} %`, sample)),
    row('all answered', last),
    row('all expired', after),
  ],
)
const growth = {
  resident: growthOf(samples, ({ resident }) => resident),
  heap: growthOf(samples, ({ heap }) => heap),
  descriptors: growthOf(samples, ({ descriptors }) => descriptors),
}
const wrong = [...load.wrong]
process.stdout.write(`${load.requests()} requests in ${seconds.toFixed(0)} s on ${values.store}, seed ${SEED}\n`)
process.stdout.write(`growth after warm-up: ${JSON.stringify(growth)}\n`)
process.stdout.write(`answered wrong: ${JSON.stringify(wrong)}; not in time: ${load.unavailable()}\n`)
const faults = [
  wrong.length > 0 && 'something was answered wrong',
  load.unavailable() > load.requests() / 100 && 'the store often does not answer in time',
  growth.heap > FLAT && 'the heap climbs',
  // In a short run it says nothing: memory that was used once is not given back at once.
  tokens >= 100_000 && growth.resident > FLAT && 'resident memory climbs',
  growth.descriptors > FLAT && 'descriptors leak',
  after.records > before.records + 10 && 'records are left in the store',
  after.store > before.store + Math.max(1, last.store / 10) && 'the store does not get its room back',
].filter(Boolean)
process.stdout.write(faults.length === 0 ? 'flat\n' : `${faults.join('; ')}\n`)
process.exitCode = faults.length === 0 ? 0 : 1
