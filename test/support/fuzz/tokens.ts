import type { Answer } from './http.ts'

/** Placeholders in generated requests for values that only answers contain. */
export const KINDS = ['bws', 'idscan', 'fido', 'session'] as const
export type Kind = (typeof KINDS)[number]

/** The number kept of each kind, so that later requests meet each of them in several states. */
const KEPT = 48

/** Returns a placeholder of letters and digits alone, which no encoding changes. */
export const placeholder = (kind: Kind, slot: number): string => `ZZ${kind}Z${slot}ZZ`

const PLACEHOLDER = /ZZ(bws|idscan|fido|session)Z([0-9]+)ZZ/g

/** Keeps tokens and sessions from answers for later requests. */
export interface TokenPool {
  harvest(answer: Answer): void
  /** Replaces placeholders by tokens. */
  fill(text: string): string
}

/** @param onToken receives each token. */
export function createTokenPool(onToken: (token: string) => void = () => undefined): TokenPool {
  const pools: Record<Kind, string[]> = { bws: [], idscan: [], fido: [], session: [] }
  let next = 0

  function keep(kind: Kind, token: unknown): void {
    if (typeof token !== 'string') return
    onToken(token)
    pools[kind][next++ % KEPT] = token
  }

  return {
    harvest({ status, body }) {
      if (status !== 200 || body.length === 0) return
      const text = body.toString()
      if (text.startsWith('eyJ')) keep('bws', text)
      else if (text.startsWith('{"access_token"')) keep('idscan', JSON.parse(text).access_token)
      else if (text.startsWith('{"token"')) {
        const { token, sessionId } = JSON.parse(text) as Record<string, unknown>
        keep('fido', token)
        keep('session', sessionId)
      }
    },
    fill: (text) =>
      text.replace(PLACEHOLDER, (_whole, kind: Kind, slot: string) => {
        const pool = pools[kind]
        return pool[Number(slot) % Math.max(1, pool.length)] ?? 'none-yet'
      }),
  }
}
