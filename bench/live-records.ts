// Whether a million live records cost what a thousand do: create and redeem, over HTTP and on SQLite synced to disk, against
// two servers in turn, one with a thousand live records and one with a million. 64 requests are in flight all the time.
//
//   node bench/live-records.ts [--seconds N] [--records N]     (N seconds a phase, 3; N live records, a million)

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { seedTokens } from './seed.ts'
import { type BenchmarkServer, percentile, printTable, readCount, startServer } from './support.ts'

const IN_FLIGHT = 64
const ROUNDS = 7
const FEW = 1_000

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, records: { type: 'string', default: '1000000' } },
})
const seconds = readCount(values.seconds, 60)
const many = readCount(values.records, 10_000_000)

const CREATE = {
  path: '/nevisfido/token/create/registration',
  method: 'POST' as const,
  headers: { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' },
  body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
}

const redeemRequest = (token: string) => ({
  path: '/nevisfido/token/redeem/registration',
  method: 'POST' as const,
  headers: { 'content-type': 'application/json', accept: 'application/fido+uaf' },
  body: JSON.stringify({ token }),
})

/** Tokens a second that are created and redeemed. */
async function measure(pool: Pool): Promise<number> {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let redeemed = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      const created = await pool.request(CREATE)
      const { token } = (await created.body.json()) as { token: string }
      const { body } = await pool.request(redeemRequest(token))
      const { statusCode } = (await body.json()) as { statusCode: number }
      if (statusCode !== 1200) throw new Error(`a redemption that is none: ${statusCode}`)
      redeemed += 1
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  return redeemed / ((performance.now() - begin) / 1000)
}

function serve(path: string): Promise<BenchmarkServer> {
  const nevisfido = { appId: 'https://fido.example.com/facets', protect: [], users: '*' as const }
  return startServer({ store: `sqlite:${path}`, nevisfido })
}

const folder = await mkdtemp(join(tmpdir(), 'trimint-bench-store-'))
try {
  const [small, large] = [join(folder, 'small.db'), join(folder, 'large.db')]
  await seedTokens(`sqlite:${small}`, FEW)
  await seedTokens(`sqlite:${large}`, many)
  await using few = await serve(small)
  await using lots = await serve(large)
  const pools = [few, lots].map(({ url }) => new Pool(url, { connections: IN_FLIGHT }))
  const rates: number[][] = [[], []]
  for (let round = -1; round < ROUNDS; round++) {
    for (const [at, pool] of pools.entries()) {
      const rate = await measure(pool)
      if (round >= 0) rates[at]?.push(rate)
    }
  }
  await Promise.all(pools.map((pool) => pool.close()))
  const [fewRates = [], lotsRates = []] = rates
  const costs = fewRates.map((rate, at) => rate / (lotsRates[at] ?? Number.NaN))
  const row = (name: string, list: number[], cost: string) => [name, percentile(list, 0.5).toFixed(0), cost]
  printTable(
    ['live records', 'created and redeemed/s', 'cost of one, as a ratio'],
    [
      row(String(FEW), fewRates, '1'),
      row(
        String(many),
        lotsRates,
        `${percentile(costs, 0.5).toFixed(2)} (${Math.min(...costs).toFixed(2)} to ${Math.max(...costs).toFixed(2)})`,
      ),
    ],
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
