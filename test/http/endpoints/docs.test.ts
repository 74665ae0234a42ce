import { describe, expect, test } from 'vitest'
import { ACCOUNT } from '../../support/idscan.ts'
import { OPEN } from '../../support/nevisfido.ts'
import { type Service, startService } from '../../support/service.ts'

// What the page does in a browser: test/system/docs.test.ts.

interface Document {
  readonly servers: { readonly url: string }[]
  readonly paths: Record<string, object>
}

async function documentOf(service: Service): Promise<Document> {
  const { status, body } = await service.request('/docs/openapi.json')
  expect(status).toBe(200)
  return JSON.parse(body) as Document
}

describe('GET /docs', () => {
  test.each([
    ['/docs', 'text/html; charset=utf-8'],
    ['/docs/page.js', 'application/javascript; charset=utf-8'],
    ['/docs/swagger-ui-bundle.js', 'application/javascript; charset=utf-8'],
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8'],
    ['/docs/favicon-32x32.png', 'image/png'],
    ['/docs/openapi.json', 'application/json; charset=utf-8'],
  ])('%s forbids other origins and inline scripts', async (path, type) => {
    await using service = await startService()
    const reply = await service.request(path)
    const { 'content-security-policy': policy, ...headers } = reply.headers
    expect([reply.status, headers['content-type'], headers['x-content-type-options']]).toEqual([200, type, 'nosniff'])
    expect(policy).toMatch(/^default-src 'self'; /)
    expect(policy).not.toMatch(/unsafe|http|\*/)
  })

  test('returns 304 while a file is unchanged', async () => {
    await using service = await startService()
    const { headers } = await service.request('/docs/swagger-ui.css')
    const reply = await service.request('/docs/swagger-ui.css', { headers: { 'if-none-match': String(headers.etag) } })
    expect(reply).toMatchObject({ status: 304, body: '' })
    const other = await service.request('/docs/swagger-ui.css', { headers: { 'if-none-match': '"other"' } })
    expect(other).toMatchObject({ status: 200 })
    expect(other.headers.etag).toBe(headers.etag)
  })

  test('answers HEAD with the headers of GET and without a body', async () => {
    await using service = await startService()
    const { headers } = await service.request('/docs/swagger-ui.css')
    const { etag, 'content-length': length } = headers
    const reply = await service.request('/docs/swagger-ui.css', { method: 'HEAD' })
    expect(reply).toMatchObject({ status: 200, body: '', headers: { etag, 'content-length': length } })
  })

  test('redirects /docs/ with a relative path, so that a path prefix of a proxy is kept', async () => {
    await using service = await startService()
    expect(await service.request('/docs/')).toMatchObject({ status: 302, headers: { location: '../docs' } })
  })

  test.each(['/docs/routes.ts', '/docs/..%2Fhealth.ts', '/docs/swagger-ui.js', '/docs/x'])(
    '%s is 404',
    async (path) => {
      await using service = await startService()
      expect((await service.request(path)).status).toBe(404)
    },
  )

  test('returns 404 when the reference is switched off', async () => {
    await using service = await startService({ configuration: { docs: false } })
    for (const path of ['/docs', '/docs/openapi.json', '/docs/page.js']) {
      expect((await service.request(path)).status).toBe(404)
    }
  })
})

describe('GET /docs/openapi.json', () => {
  test('names this server by a relative URL', async () => {
    await using service = await startService()
    const { servers } = await documentOf(service)
    expect(servers).toHaveLength(1)
    const at = (document: string) => new URL(servers[0]?.url ?? '', document).href
    expect(at('http://127.0.0.1:8080/docs/openapi.json')).toBe('http://127.0.0.1:8080/')
    expect(at('https://example.com/tokens/docs/openapi.json')).toBe('https://example.com/tokens/')
  })

  test('describes only the enabled contracts', async () => {
    const all = { idscan: { accounts: [ACCOUNT] }, nevisfido: OPEN }
    await using complete = await startService({ configuration: all })
    await using partial = await startService({ configuration: { ...all, bws: false, nevisfido: false } })
    const contracts = /token|authz|nevisfido/
    const described = Object.keys((await documentOf(complete)).paths)
    expect(described).toEqual(expect.arrayContaining(['/token', '/nevisfido/status', '/introspect', '/healthz']))
    expect(Object.keys((await documentOf(partial)).paths)).toEqual([
      ...['/idscanenterprisesvc/token', '/authz/idscan/{area}'],
      ...described.filter((path) => !contracts.test(path)),
    ])
  })
})
