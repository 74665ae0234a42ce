import { appendFileSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'

/** Names what a secret could leak into. `errors` holds refusals as sent, `stores` the bytes of store files. */
const PLACES = ['log', 'stderr', 'errors', 'metrics', 'stores'] as const
type Place = (typeof PLACES)[number]

const fileOf = (name: Place | 'secrets'): string => join(inject('leakFolder'), name)

/** Opened once for each worker: a run appends a million times. */
const descriptors = new Map<string, number>()

/** Does nothing in runs without a leak search (test/mutation). */
function append(name: Place | 'secrets', content: string | Uint8Array): void {
  if (!inject('leakFolder')) return
  const file = fileOf(name)
  const descriptor = descriptors.get(file) ?? openSync(file, 'a')
  descriptors.set(file, descriptor)
  appendFileSync(descriptor, content)
}

/** Records log lines of a service under test. */
export function recordLog(text: string): void {
  append('log', text)
}

/** Records what a service under test wrote to another place. */
export function record(place: Exclude<Place, 'log'>, content: string | Uint8Array): void {
  append(place, content)
  append(place, '\n')
}

/**
 * Records a reply if it is a refusal. Other replies may hold tokens.
 *
 * @param reply headers and body.
 */
export function recordRefusal(status: number, reply: string): void {
  // nevisFIDO refuses with HTTP 200.
  if (status >= 300 || /^\{"statusCode":1[^2]/m.test(reply)) record('errors', `${status} ${reply}`)
}

/** Remembers a secret or token that a test used; test/run fails if any recorded place holds it. */
export function trackSecret(secret: string): void {
  append('secrets', `${JSON.stringify(secret)}\n`)
}

/** Matches signed tokens, and values of members that hold a secret. */
const IN_REPLIES = /eyJ[\w-]+\.[\w-]+\.[\w-]+|(?<="(?:token|sessionId)":")[^"]+/g

/** Remembers every token in a reply. */
export function trackSecretsIn(body: string): void {
  // The examples of the OpenAPI document are not secret.
  if (body.startsWith('{"openapi"')) return
  for (const [secret] of body.matchAll(IN_REPLIES)) trackSecret(secret)
}

interface LeakRecords {
  readonly places: Readonly<Record<Place, Buffer>>
  readonly secrets: readonly string[]
}

export function readLeakRecords(): LeakRecords {
  const read = (name: Place | 'secrets'): Buffer =>
    existsSync(fileOf(name)) ? readFileSync(fileOf(name)) : Buffer.alloc(0)
  const tracked = new Set(read('secrets').toString().split('\n').filter(Boolean))
  const places = Object.fromEntries(PLACES.map((place) => [place, read(place)])) as Record<Place, Buffer>
  return { places, secrets: [...tracked].map((line) => JSON.parse(line) as string) }
}
