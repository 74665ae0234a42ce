import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startTrimint } from 'trimint'
import { createOnboarding } from '../onboarding.js'

let trimint
before(async () => {
  trimint = await startTrimint()
})
after(() => trimint.close())

test('starts a face check, a scanner login and a registration', async () => {
  const onboarding = createOnboarding(trimint.url)
  assert.match(await onboarding.startFaceCheck('bws.112.12345'), /^[\w-]+\.[\w-]+\.[\w-]+$/)
  assert.match(await onboarding.logInScanner(), /^[\w-]+\.[\w-]+\.[\w-]+$/)
  assert.match((await onboarding.startRegistration('jeff')).token, /^[0-9a-f-]{36}$/)
})

test('reports a wrong secret', async () => {
  const onboarding = createOnboarding(trimint.url, { secret: 'wrong' })
  await assert.rejects(onboarding.startFaceCheck('bws.112.12345'), /answered 401/)
})
