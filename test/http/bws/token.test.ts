import { createSecretKey } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { BCID, claimsOf, getToken, QUERY } from '../../support/bws.ts'
import { createPredictableRandomness } from '../../support/randomness.ts'
import { APP, APP_SECRET, KEY, type Reply, startService } from '../../support/service.ts'
import { createFrozenClock, FROZEN_TIME } from '../../support/time.ts'

const clock = createFrozenClock()
const awkward = 'A&B > C? ~ü "quoted" \\ 😀 \u2028'
const service = await startService({
  clock,
  configuration: {
    bws: {
      apps: [
        APP,
        { ...APP, id: 'text', challengeClaim: 'string' },
        { ...APP, id: 'short', lifetime: '30s' },
        { ...APP, id: 'odd>?~é', client: awkward },
        { id: 'bare', secret: APP.secret, bcids: '*' },
      ],
    },
  },
})
afterAll(() => service.close())

const key = createSecretKey(Buffer.from(KEY, 'base64url'))

/** Verifies the token with an independent library. */
async function issue(query: string, id: string = APP.id): Promise<{ reply: Reply; claims: Record<string, unknown> }> {
  const reply = await getToken(service, `id=${encodeURIComponent(id)}&bcid=${BCID}&${query}`, {
    as: { id, secret: APP_SECRET },
  })
  expect(reply.status).toBe(200)
  const { payload } = await jwtVerify(reply.body, key, { algorithms: ['HS256'], currentDate: new Date(clock()) })
  return { reply, claims: payload as Record<string, unknown> }
}

test('B24: issues a token whose JOSE header is exactly alg and typ', async () => {
  const { reply } = await issue('')
  expect(Buffer.from(reply.body.split('.')[0] ?? '', 'base64url').toString()).toBe('{"alg":"HS256","typ":"JWT"}')
  expect(decodeProtectedHeader(reply.body)).toEqual({ alg: 'HS256', typ: 'JWT' })
})

test('B25: issues exactly these claims, in this order, byte for byte', async () => {
  await using predictable = await startService({ clock, randomness: createPredictableRandomness() })
  const reply = await getToken(predictable, QUERY, { headers: { 'x-request-id': 'given' } })
  const payload = Buffer.from(reply.body.split('.')[1] ?? '', 'base64url').toString()
  expect(payload).toBe(
    '{"tokenid":"00000000-0000-4000-8000-000000000000","clnt":"BWS-Test","app":"app-1","bcid":"bws/112/12345",' +
      '"traits":3,"task":259,"iss":"BWS","aud":"https://tokens.example.com","exp":1767323645,"nbf":1767323045}',
  )
  // Computed with Python's hmac.
  expect(reply.body.split('.')[2]).toBe('TClhz6O1Jve7p7JorVdGUsCiGkr-upibMkuJRvFnzIo')
})

test('B25: puts the challenge between task and iss', async () => {
  const { reply } = await issue('challenge=true')
  const names = ['tokenid', 'clnt', 'app', 'bcid', 'traits', 'task', 'challenge', 'iss', 'aud', 'exp', 'nbf']
  expect(Object.keys(claimsOf(reply))).toEqual(names)
})

test('B25: sets tokenid to a lower-case UUID, iss to BWS, and clnt to the App-ID where no name is configured', async () => {
  const { claims } = await issue('', 'bare')
  expect(claims).toMatchObject({ clnt: 'bare', iss: 'BWS' })
  expect(claims.tokenid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('B25: uses the configured issuer and audience', async () => {
  const bws = { issuer: 'Other', audience: 'https://bws.example.com/path', apps: [APP] }
  await using other = await startService({ clock, configuration: { bws } })
  expect(claimsOf(await getToken(other, QUERY))).toMatchObject({ iss: 'Other', aud: 'https://bws.example.com/path' })
})

test('B26: issues a token for 600 s by default, in whole seconds from now', async () => {
  const { claims } = await issue('')
  expect(claims).toMatchObject({ nbf: Math.floor(FROZEN_TIME / 1000), exp: Math.floor(FROZEN_TIME / 1000) + 600 })
})

test('B24: signs with the first live key, until its notAfter', async () => {
  const moving = createFrozenClock(Date.UTC(2026, 0, 1) - 1)
  const other = 'YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy4'
  const keys = [{ secret: other, notAfter: '2026-01-01' }, { secret: KEY }]
  await using rotating = await startService({ clock: moving, configuration: { keys } })
  const signer = async (secret: string) => {
    const { body } = await getToken(rotating, QUERY)
    await jwtVerify(body, createSecretKey(Buffer.from(secret, 'base64url')), { currentDate: new Date(moving()) })
  }
  await signer(other)
  moving.advance(1)
  await signer(KEY)
})

test('B26: uses the lifetime of all apps, or that of the app', async () => {
  const bws = { lifetime: '90s', apps: [APP, { ...APP, id: 'short', lifetime: '30s' }] }
  await using other = await startService({ clock, configuration: { bws } })
  const lifetimeOf = (reply: Reply) => Number(claimsOf(reply).exp) - Number(claimsOf(reply).nbf)
  expect(lifetimeOf(await getToken(other, QUERY))).toBe(90)
  const as = { id: 'short', secret: APP_SECRET }
  expect(lifetimeOf(await getToken(other, `id=short&bcid=${BCID}`, { as }))).toBe(30)
})

test('B26: uses the lifetime configured for the app', async () => {
  const { claims } = await issue('', 'short')
  expect(Number(claims.exp) - Number(claims.nbf)).toBe(30)
})

test('B27: keeps an awkward client name readable by plain base64', async () => {
  const { reply, claims } = await issue('challenge=true', 'odd>?~é')
  expect(claims).toMatchObject({ clnt: awkward, app: 'odd>?~é' })
  expect(reply.body.split('.')[1]).toMatch(/^[A-Za-z0-9]+$/)
})

const traits: [string, number][] = [
  ['Face', 1],
  ['Periocular', 2],
  ['Voice', 4],
  ['Face,Periocular', 3],
  ['Voice,Face', 5],
  ['Periocular,Voice', 6],
  ['Voice,Periocular,Face', 7],
]
test.each(traits)('B28: encodes traits=%s as %i', async (names, bits) => {
  expect((await issue(`traits=${names}`)).claims.traits).toBe(bits)
})

/** The table of the contract page. */
const tasks: [query: string, task: number][] = [
  ['', 259],
  ['task=enroll', 291],
  ['task=identify', 275],
  ['task=livenessdetection', 387],
  ['task=livenessdetection&livedetection=false', 387],
  ['maxtries=5', 261],
  ['maxtries=15', 271],
  ['maxtries=1', 257],
  ['challenge=true', 771],
  ['challenge=true&maxtries=5', 773],
  ['task=enroll&challenge=true', 803],
  ['task=identify&challenge=true', 787],
  ['task=livenessdetection&challenge=true', 899],
  ['livedetection=false', 3],
  ['livedetection=false&challenge=true', 3],
  ['autoenroll=true', 4355],
  ['autoenroll=true&task=enroll', 291],
]
test.each(tasks)('B29: encodes "%s" as task %i', async (query, task) => {
  const { claims } = await issue(query)
  expect(claims.task).toBe(task)
  expect('challenge' in claims).toBe((task & 0x200) !== 0)
})

describe('the challenge claim', () => {
  const sizes: [query: string, rows: number, length: number][] = [
    ['challenge=true', 3, 3],
    ['challenge=true&maxtries=1&challenges=2', 1, 2],
    ['challenge=true&maxtries=15&challenges=7', 15, 7],
    ['challenge=true&maxtries=5&task=livenessdetection&livedetection=false', 5, 3],
  ]
  test.each(sizes)('B30: issues for %s a challenge of %i rows of %i', async (query, rows, length) => {
    const { claims } = await issue(query)
    const challenge = claims.challenge as string[][]
    expect(challenge.map((row) => row.length)).toEqual(Array(rows).fill(length))
  })

  test('B30: writes the challenge as JSON text with challengeClaim: string', async () => {
    const { claims } = await issue('challenge=true&maxtries=2&challenges=4', 'text')
    expect(claims.challenge).toMatch(/^\[\["[a-z]+","[a-z]+","[a-z]+","[a-z]+"\],\[/)
    const rows = JSON.parse(claims.challenge as string) as string[][]
    expect(rows.map((row) => row.length)).toEqual([4, 4])
  })

  test('B30: uses the challengeClaim of all apps, or that of the app', async () => {
    const bws = {
      challengeClaim: 'string' as const,
      apps: [APP, { ...APP, id: 'array', challengeClaim: 'array' as const }],
    }
    await using service = await startService({ configuration: { bws } })
    expect(claimsOf(await getToken(service, `${QUERY}&challenge=true`)).challenge).toBeTypeOf('string')
    const as = { id: 'array', secret: APP_SECRET }
    const reply = await getToken(service, `id=array&bcid=${BCID}&challenge=true`, { as })
    expect(claimsOf(reply).challenge).toBeInstanceOf(Array)
  })

  test('B31: draws every movement at random, independently', async () => {
    const thirds = new Map<string, Set<string>>()
    let differing = 0
    for (let round = 0; round < 20; round++) {
      const rows = (await issue('challenge=true&maxtries=15&challenges=5')).claims.challenge as string[][]
      for (const [first = '', , third = '', , fifth = ''] of rows) {
        for (const [before, after] of [
          [first, third],
          [third, fifth],
        ] as const) {
          thirds.set(before, (thirds.get(before) ?? new Set()).add(after))
        }
      }
      differing += new Set(rows.map(String)).size - 1
    }
    for (const [before, after] of thirds) expect(after.size, `after ${before}`).toBe(2)
    expect(differing).toBeGreaterThan(20)
  })

  test('B30: issues exactly this challenge for given random bytes', async () => {
    await using predictable = await startService({ clock, randomness: createPredictableRandomness() })
    const reply = await getToken(predictable, `${QUERY}&challenge=true&maxtries=2&challenges=3`)
    expect(claimsOf(reply).challenge).toEqual([
      ['left', 'right', 'down'],
      ['down', 'up', 'right'],
    ])
  })

  test('B31: moves back and forth on one axis, then on the other', async () => {
    const opposite: Record<string, string> = { up: 'down', down: 'up', left: 'right', right: 'left' }
    const vertical = (direction = '') => direction === 'up' || direction === 'down'
    const seen = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const { claims } = await issue('challenge=true&maxtries=15&challenges=7')
      for (const row of claims.challenge as string[][]) {
        seen.add(row[0] ?? '').add(`third ${row[2]}`)
        for (const at of [1, 3, 5]) expect(row[at]).toBe(opposite[row[at - 1] ?? ''])
        for (const at of [2, 4, 6]) expect(vertical(row[at])).not.toBe(vertical(row[at - 1]))
      }
    }
    expect([...seen].toSorted()).toEqual([
      'down',
      'left',
      'right',
      'third down',
      'third left',
      'third right',
      'third up',
      'up',
    ])
  })
})

test('B25: issues 300 distinct tokens for 300 concurrent requests', async () => {
  const replies = await Promise.all(Array.from({ length: 300 }, () => getToken(service, QUERY)))
  expect(new Set(replies.map(({ body }) => body)).size).toBe(300)
  expect(new Set(replies.map((reply) => claimsOf(reply).tokenid)).size).toBe(300)
})
