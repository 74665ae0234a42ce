import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { StartError } from '../../../../src/app/start-error.ts'
import { startTrimint } from '../../../../src/app/start-trimint.ts'
import type { Trimint } from '../../../../src/app/trimint.ts'
import { OPEN } from '../../../support/nevisfido.ts'
import { KEY, startService } from '../../../support/service.ts'
import { issueCertificate } from '../../../support/uaf/issue-certificate.ts'
import { attempt, createPhone } from '../../../support/uaf.ts'
import { ATTESTATION_TYPE, createStatement } from '../../../support/uaf-metadata.ts'

const root = issueCertificate({ subject: 'Root' })
const statement = createStatement({
  aaid: 'FFFF#0020',
  attestationTypes: [ATTESTATION_TYPE.FULL],
  attestationRootCertificates: [root.der.toString('base64')],
})
const leaf = issueCertificate({ subject: 'Model', issuer: root })
const attestation = { algorithm: 1, privateKey: leaf.privateKey, certificates: [leaf.der] } as const

const folder = mkdtempSync(join(tmpdir(), 'trimint-uaf-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Starts with members of `nevisfido` in a YAML file. */
function startFile(members: readonly string[]): Promise<Trimint> {
  const configFile = join(folder, 'trimint.yaml')
  const lines = [
    'publicUrl: https://tokens.example.com',
    'store: "sqlite::memory:"',
    `keys: [{ secret: ${KEY} }]`,
    'nevisfido:',
    `  appId: ${OPEN.appId}`,
    '  users: "*"',
    '  protect: []',
    ...members.map((member) => `  ${member}`),
  ]
  writeFileSync(configFile, lines.join('\n'))
  return startTrimint({ configFile })
}

const issuesOf = async (members: readonly string[]) => {
  const error = await startFile(members).then(
    async (trimint) => {
      await trimint.close()
      return undefined
    },
    (reason: unknown) => reason,
  )
  return error instanceof StartError ? error.issues : []
}

describe('metadata', () => {
  test('U37: reads statements from files relative to the configuration, and inline', async () => {
    writeFileSync(join(folder, 'model.json'), JSON.stringify(statement))
    await using trimint = await startFile([
      'attestation: basic',
      `metadata: ["file:model.json", ${JSON.stringify(createStatement({ aaid: 'FFFF#0021' }))}]`,
    ])
    const reply = await fetch(`${trimint.url}/nevisfido/token/create/registration`, {
      method: 'POST',
      headers: { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' },
      body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
    })
    const { token } = (await reply.json()) as { token: string }
    const outcome = await createPhone(trimint, { aaid: 'FFFF#0020', attestation }).register(token)
    expect(outcome).toMatchObject({ step: 'respond', statusCode: 1200 })
  })

  test.each([
    {
      title: 'two statements for one AAID',
      members: [`metadata: [${JSON.stringify(statement)}, ${JSON.stringify(statement)}]`],
    },
    {
      title: 'two statements for one AAID in other letters',
      members: [
        `metadata: [${JSON.stringify({ ...statement, aaid: 'ABCD#0001' })}, ${JSON.stringify({ ...statement, aaid: 'abcd#0001' })}]`,
      ],
    },
    {
      title: 'a statement without an AAID',
      members: [`metadata: [${JSON.stringify({ ...statement, aaid: undefined })}]`],
    },
    {
      title: 'a root that is not a certificate',
      members: [`metadata: [${JSON.stringify({ ...statement, attestationRootCertificates: ['AAAA'] })}]`],
    },
    { title: 'a file that is missing', members: ['metadata: ["file:missing.json"]'] },
    { title: 'an unknown attestation', members: ['attestation: full'] },
    { title: 'facets that are not a list', members: ['facets: https://app.example.com'] },
  ])('U37: does not start with $title', async ({ members }) => {
    const issues = await issuesOf(members)
    expect(issues).not.toEqual([])
    for (const { path } of issues) expect(path).toMatch(/^nevisfido\.(metadata|attestation|facets)/)
  })
})

describe('attestation', () => {
  test.each([
    { production: undefined, code: 1200 },
    { production: true, code: 1480 },
  ])(
    'U37: without a setting and statements, returns $code to a registration in production: $production',
    async ({ production, code }) => {
      const key = Buffer.alloc(32, 'a private key of this test').toString('base64url')
      await using trimint = await startTrimint({
        ...(production === undefined ? {} : { production }),
        configuration: {
          publicUrl: 'https://tokens.example.com',
          store: 'sqlite::memory:',
          keys: [{ secret: key }],
          nevisfido: { appId: OPEN.appId, users: '*', protect: [] },
        },
      })
      const reply = await fetch(`${trimint.url}/nevisfido/token/create/registration`, {
        method: 'POST',
        headers: { 'content-type': 'application/fido+uaf;charset=UTF-8', accept: 'application/json' },
        body: JSON.stringify({ op: 'Reg', context: '{"username":"jeff"}' }),
      })
      const { token } = (await reply.json()) as { token: string }
      expect(await createPhone(trimint).register(token)).toMatchObject({ step: 'respond', statusCode: code })
    },
  )

  test('U37: follows a reload', async () => {
    const configuration = { publicUrl: 'https://tokens.example.com', store: 'sqlite::memory:', keys: [{ secret: KEY }] }
    await using service = await startService({ configuration: { ...configuration, bws: false, nevisfido: OPEN } })
    const phone = createPhone(service, { facetId: 'https://app.example.com' })
    expect((await attempt(service, phone, 'registration')).code).toBe(1498)
    const nevisfido = { ...OPEN, facets: ['https://app.example.com'] }
    expect(await service.trimint.reload({ ...configuration, bws: false, nevisfido })).toMatchObject({ restart: [] })
    expect((await attempt(service, phone, 'registration')).code).toBe(1200)
  })
})
