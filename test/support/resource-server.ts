import { expect } from 'vitest'
import { encodeForm } from './idscan.ts'
import { basic, type Reply, type RequestOptions, type Service } from './service.ts'

/** The introspection reply for every token that is not active. */
export const INACTIVE = '{"active":false}'

export type Form = Readonly<Record<string, string | string[]>>

/** Posts a form, by default without credentials, and expects a reply that may not be cached. */
export async function post(
  service: Service,
  path: string,
  form: Form | string | Buffer,
  { headers = {}, ...options }: RequestOptions = {},
): Promise<Reply> {
  const reply = await service.request(path, {
    method: 'POST',
    body: typeof form === 'string' || Buffer.isBuffer(form) ? form : encodeForm(form),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    ...options,
  })
  expect(reply.headers).toMatchObject({ 'cache-control': 'no-store', 'x-request-id': expect.any(String) })
  return reply
}

/** Encodes a value as `application/x-www-form-urlencoded` (RFC 6749, appendix B). */
export function formEncode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[-_.!~*'()]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}

/** Encodes HTTP Basic credentials as OAuth clients do (RFC 6749, section 2.3.1). */
export const oauthBasic = (id: string, secret: string): string => basic(formEncode(id), formEncode(secret))
