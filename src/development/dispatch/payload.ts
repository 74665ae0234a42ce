import type { FidoOperation } from '../../core/fido/operation.ts'

export interface Dispatch {
  readonly token: string
  readonly operation: FidoOperation
  /** The URL of the server, as the phone reaches it. */
  readonly url: string
}

/**
 * Returns what the vendor's dispatchers put into QR codes and links, not encrypted: base64url of a JSON object with the
 * token and the URL that redeems it.
 *
 * @see https://docs.nevis.net/nevisfido/reference-guide/dispatchers/dispatcher-introduction
 */
export function createPayload({ token, operation, url }: Dispatch): string {
  const redeemUrl = new URL(`/nevisfido/token/redeem/${operation}`, url).href
  const payload = {
    nma_data: { token, redeem_url: redeemUrl },
    nma_data_content_type: 'application/json',
    nma_data_version: '1',
  }
  return Buffer.from(JSON.stringify(payload)).toString('base64url')
}

/**
 * Returns the link that opens a mobile app with a payload.
 *
 * @param base the URL that the app handles, such as `https://app.example.com/auth` or `myapp://auth`.
 * @see https://docs.nevis.net/nevisfido/reference-guide/dispatchers/link-dispatcher
 */
export function createDeepLink(base: string, payload: string): string {
  const link = new URL(base)
  link.searchParams.set('dispatchTokenResponse', payload)
  return link.href
}
