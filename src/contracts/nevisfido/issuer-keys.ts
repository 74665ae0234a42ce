import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  type FetchImplementation,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose'
import type { Clock } from '../../core/clock.ts'

const FETCH_TIMEOUT_MS = 3_000

/** Between two fetches for an unknown key id, so that invented ids cannot flood the issuer. */
const UNKNOWN_KEY_COOLDOWN_MS = 30_000

/** Between a failed fetch and the next. */
const RETRY_DELAY_MS = 2_000

/** Time servers correct a clock by less. */
const MAX_STEP_BACK_MS = 1_000

/** Thrown where a key has to be fetched and the fetch fails. `cause` is the reason. */
export class KeysUnavailableError extends Error {
  override readonly name = 'KeysUnavailableError'
}

/**
 * Returns a function that finds the key of a JWT among the keys at a URL, and fetches them when necessary. Every error
 * besides {@link KeysUnavailableError} is due to the JWT, or to the key that it names.
 */
export function createIssuerKeys(url: string, clock: Clock): JWTVerifyGetKey {
  const create = () =>
    createRemoteJWKSet(new URL(url), {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: UNKNOWN_KEY_COOLDOWN_MS,
      [customFetch]: pauseAfterFailure(fetchKeys, clock),
    })
  let getKey = create()
  let latest = Number.NEGATIVE_INFINITY
  return (header, token) => {
    const now = clock()
    // Keys that were fetched at a wrong time in the future would count as fresh until that time.
    const isSetBack = now < latest - MAX_STEP_BACK_MS
    if (isSetBack) getKey = create()
    latest = isSetBack ? now : Math.max(now, latest)
    return getKey(header, token)
  }
}

const fetchKeys: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options)
  if (response.status !== 200) throw new Error(`HTTP status ${response.status}; expected 200`)
  const keys = JSON.parse(await readText(response)) as JSONWebKeySet
  // Throws for a document that is not a JWK Set. A malformed key in one is found when a JWT names it.
  createLocalJWKSet(keys)
  return Response.json(keys)
}

/** A key takes half a kilobyte. */
const MAX_KEYS_BYTES = 1024 * 1024

/** @throws Error for a longer body: an endless one would fill the memory until the fetch times out. */
async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_KEYS_BYTES) throw new Error(`more than ${MAX_KEYS_BYTES} bytes; expected a JWK Set`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Keys that were fetched before stay in use during the pause. */
function pauseAfterFailure(fetchOnce: FetchImplementation, clock: Clock): FetchImplementation {
  let failure: KeysUnavailableError | undefined
  let pausedUntil = Number.NEGATIVE_INFINITY
  return async (url, options) => {
    if (failure && clock() < pausedUntil) throw failure
    try {
      return await fetchOnce(url, options)
    } catch (cause) {
      pausedUntil = clock() + RETRY_DELAY_MS
      failure = new KeysUnavailableError('the keys of the issuer are unavailable', { cause })
      throw failure
    }
  }
}
