import { startTrimint } from 'trimint'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOnboarding } from '../onboarding.js'

let trimint
beforeAll(async () => {
  trimint = await startTrimint()
})
afterAll(() => trimint.close())

test('starts a face check, a scanner login and a registration', async () => {
  const onboarding = createOnboarding(trimint.url)
  expect(await onboarding.startFaceCheck('bws.112.12345')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  expect(await onboarding.logInScanner()).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  expect((await onboarding.startRegistration('jeff')).token).toMatch(/^[0-9a-f-]{36}$/)
})

test('reports a wrong secret', async () => {
  const onboarding = createOnboarding(trimint.url, { secret: 'wrong' })
  await expect(onboarding.startFaceCheck('bws.112.12345')).rejects.toThrow('answered 401')
})
