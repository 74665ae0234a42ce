import * as crypto from 'node:crypto'
import { afterAll, expect, test, vi } from 'vitest'
import * as digests from '../../../src/core/crypto/sha256.ts'
import { getToken, QUERY } from '../../support/bws.ts'
import { APP_SECRET, startService } from '../../support/service.ts'

vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>()
  return { ...real, timingSafeEqual: vi.fn(real.timingSafeEqual) }
})

vi.mock('../../../src/core/crypto/sha256.ts', async (original) => {
  const real = await original<typeof digests>()
  return { ...real, sha256: vi.fn(real.sha256) }
})

const service = await startService({ configuration: { guard: false } })
afterAll(() => service.close())

test('B21: does the same work for an unknown app as for a wrong secret, over HTTP', async () => {
  const attempts = [
    { id: 'nobody', secret: 'a wrong secret 5a1c' },
    { id: 'app-1', secret: 'a wrong secret 5a1c' },
    { id: 'nobody', secret: APP_SECRET },
  ]
  for (const as of attempts) {
    vi.clearAllMocks()
    expect((await getToken(service, QUERY, { as })).status).toBe(401)
    expect(vi.mocked(digests.sha256)).toHaveBeenCalledTimes(1)
    expect(vi.mocked(crypto.timingSafeEqual)).toHaveBeenCalledTimes(1)
  }
})
