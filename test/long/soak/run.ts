// Soaks Trimint: issues tokens of each kind, checks, redeems, introspects and revokes them while a fast clock lets them
// expire. Samples memory, descriptors and the store meanwhile, and again after everything has expired.

import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigurationInput } from '../../../src/config/schema.ts'
import { SOAKED, startLoad } from './load.ts'
import type { SoakAnswer, SoakCommand, SoakSettings } from './service.ts'
import { openStorage, type SoakStore, type Storage } from './storage.ts'

const CALLERS = 32
const SEED = 20_261_122

/** How many seconds of Trimint's clock pass in one second. */
const SPEED = 30

/** How often a run samples, and how often it reloads the configuration. */
const SAMPLES = 24
const RELOADS = 8

/** The share of the samples to ignore; the rest is compared half with half. */
const WARM_UP = 0.25

/** How much larger the second half's maximum may be than the first half's. */
const MAX_GROWTH = 1.1

/** With fewer tokens, resident memory says nothing: the system takes it back late. */
const MIN_TOKENS_FOR_RESIDENT = 100_000

/** Longer than every record but revocations of whole apps is kept. */
const EXPIRY_MS = 6 * 3_600_000

const MIB = 2 ** 20

interface Sample {
  readonly issued: number
  readonly residentMib: number
  /** After garbage collection. */
  readonly heapMib: number
  readonly descriptors: number
  readonly records: number
  readonly storeMib: number
}

export interface SoakResult {
  /** What went wrong; empty for a pass. */
  readonly faults: readonly string[]
  /** The figures, as a Markdown table and a summary. */
  readonly report: string
}

export interface SoakOptions {
  readonly store: SoakStore
  /** Tokens of each kind. */
  readonly tokens: number
  readonly maxMinutes: number
}

export async function soak({ store, tokens, maxMinutes }: SoakOptions): Promise<SoakResult> {
  await using storage = await openStorage(store)
  await using subject = await startSubject(storage)
  const before = await subject.sample(0)
  const began = performance.now()
  const load = startLoad({ url: subject.url, tokens, callers: CALLERS, seed: SEED })
  const deadline = setTimeout(load.stop, maxMinutes * 60_000)
  const samples: Sample[] = []
  let isDone = false
  const done = load.done.finally(() => {
    isDone = true
  })
  while (!isDone) {
    const progress = Math.max(load.issued() / tokens, (performance.now() - began) / (maxMinutes * 60_000))
    if (progress < (samples.length + 1) / SAMPLES) {
      await Promise.race([done, sleep(Math.min(1_000, tokens / 100))])
      continue
    }
    samples.push(await subject.sample(load.issued()))
    if (samples.length % (SAMPLES / RELOADS) === 0) await subject.execute('reload')
  }
  await done
  clearTimeout(deadline)
  const seconds = (performance.now() - began) / 1000
  const last = await subject.sample(load.issued())

  // A reload flushes writes that are still buffered.
  await subject.execute('reload')
  await storage.advance(EXPIRY_MS)
  await subject.execute({ advanceMs: EXPIRY_MS })
  const after = await waitUntilSwept(subject, before, last)

  const growth = {
    resident: growthOf(samples, ({ residentMib }) => residentMib),
    heap: growthOf(samples, ({ heapMib }) => heapMib),
    descriptors: growthOf(samples, ({ descriptors }) => descriptors),
  }
  const wrong = [...load.wrong].map(([answer, count]) => `${count} × ${answer}`)
  const faults = [
    wrong.length > 0 && `unexpected answers: ${wrong.join('; ')}`,
    load.unavailable() > load.requests() / 100 && 'the store is often unavailable',
    growth.heap > MAX_GROWTH && 'the heap grows',
    tokens >= MIN_TOKENS_FOR_RESIDENT && growth.resident > MAX_GROWTH && 'resident memory grows',
    growth.descriptors > MAX_GROWTH && 'descriptors leak',
    after.records > before.records + 10 && 'expired records stay in the store',
    after.storeMib > before.storeMib + Math.max(1, last.storeMib / 10) && 'the store does not free its space',
  ].filter((fault) => fault !== false)
  const shown = samples.filter((_, index) => (index + 1) % (SAMPLES / RELOADS) === 0)
  const report = [
    '| when | tokens of each kind | resident MiB | heap MiB | descriptors | records | store MiB |',
    '|---|---:|---:|---:|---:|---:|---:|',
    formatRow('before', before),
    ...shown.map((sample) => formatRow(`${Math.round((sample.issued / load.issued()) * 100)} %`, sample)),
    formatRow('all answered', last),
    formatRow('all expired', after),
    `${store}: ${load.requests()} requests in ${seconds.toFixed(0)} s, ${load.unavailable()} unavailable, seed ${SEED}`,
    `growth after warm-up: ${JSON.stringify(growth)}`,
  ].join('\n')
  return { faults, report }
}

interface Subject extends AsyncDisposable {
  readonly url: string
  /** @returns the bytes of the heap afterwards */
  execute(command: SoakCommand): Promise<number>
  sample(issued: number): Promise<Sample>
}

async function startSubject(storage: Storage): Promise<Subject> {
  const configuration: ConfigurationInput = {
    ...SOAKED,
    store: storage.url,
    keys: [{ secret: randomBytes(32).toString('base64url') }],
  }
  const settings: SoakSettings = { configuration, speed: SPEED }
  const script = new URL('./service.ts', import.meta.url)
  const child = fork(script, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] })
  const { url } = await nextAnswer<{ url: string }>(child)
  let turn: Promise<unknown> = Promise.resolve()

  /** Queues commands: an answer does not name its command. */
  function execute(command: SoakCommand): Promise<number> {
    const executed = turn.then(async () => {
      child.send(command)
      return (await nextAnswer<{ heapUsed: number }>(child)).heapUsed
    })
    turn = executed.catch(() => undefined)
    return executed
  }

  return {
    url,
    execute,
    async sample(issued) {
      const heapUsed = await execute('measure')
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
      const descriptors = await readdir(`/proc/${child.pid}/fd`).catch(() => [])
      return {
        issued,
        residentMib: Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1024,
        heapMib: heapUsed / MIB,
        descriptors: descriptors.length,
        ...(await storage.measure()),
      }
    },
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

async function nextAnswer<Answer extends SoakAnswer>(child: ChildProcess): Promise<Answer> {
  const [answer] = (await once(child, 'message')) as [Answer]
  return answer
}

/** Samples until only the lasting records are left, for as long as their number still falls. */
async function waitUntilSwept(subject: Subject, before: Sample, last: Sample): Promise<Sample> {
  const patience = 150
  let after = last
  for (let look = 0, left = patience; left > 0 && (look < 2 || after.records > before.records + 10); look++) {
    if (look % 50 === 0) await subject.execute('reload')
    await sleep(200)
    const sample = await subject.sample(last.issued)
    left = sample.records < after.records ? patience : left - 1
    after = sample
  }
  return after
}

function growthOf(samples: readonly Sample[], read: (sample: Sample) => number): number {
  const counted = samples.slice(Math.ceil(samples.length * WARM_UP))
  const half = Math.ceil(counted.length / 2)
  const max = (list: readonly Sample[]) => Math.max(...list.map(read))
  return max(counted.slice(half)) / max(counted.slice(0, half))
}

function formatRow(when: string, { issued, residentMib, heapMib, descriptors, records, storeMib }: Sample): string {
  const cells = [when, issued, residentMib.toFixed(1), heapMib.toFixed(2), descriptors, records, storeMib.toFixed(2)]
  return `| ${cells.join(' | ')} |`
}
