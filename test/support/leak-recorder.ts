import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'

/** Where a secret might be left behind. `errors` are refusals as they were sent, `stores` the bytes of files. */
const PLACES = ['log', 'stderr', 'errors', 'metrics', 'stores'] as const
type Place = (typeof PLACES)[number]

const fileOf = (name: Place | 'secrets'): string => join(inject('journal'), name)

/** A run that nobody looks back at has no journal. */
function append(name: Place | 'secrets', content: string | Uint8Array): void {
  if (inject('journal')) appendFileSync(fileOf(name), content)
}

/** Everything that a service under test has logged goes here, at level trace. */
export function writeLog(text: string): void {
  append('log', text)
}

/** What a service under test has left in some other place. */
export function writeDown(place: Exclude<Place, 'log'>, content: string | Uint8Array): void {
  append(place, content)
  append(place, '\n')
}

/** A reply, head and body, where it is a refusal: what is asked for may hold a token. */
export function writeRefusal(status: number, reply: string): void {
  // nevisFIDO refuses with HTTP 200.
  if (status >= 300 || /^\{"statusCode":1[^2]/m.test(reply)) writeDown('errors', `${status} ${reply}`)
}

/** A secret or token that a test has used, and that no place may hold. */
export function trackSecret(secret: string): void {
  append('secrets', `${JSON.stringify(secret)}\n`)
}

/** A signed token, and the value of a member that holds a secret. */
const IN_REPLIES = /eyJ[\w-]+\.[\w-]+\.[\w-]+|(?<="(?:token|sessionId)":")[^"]+/g

/** The tokens in a reply, whichever kind they are. */
export function trackSecretsIn(body: string): void {
  for (const [secret] of body.matchAll(IN_REPLIES)) trackSecret(secret)
}

interface Journal {
  readonly places: Readonly<Record<Place, Buffer>>
  readonly secrets: readonly string[]
}

export function readJournal(): Journal {
  const read = (name: Place | 'secrets'): Buffer =>
    existsSync(fileOf(name)) ? readFileSync(fileOf(name)) : Buffer.alloc(0)
  const noted = new Set(read('secrets').toString().split('\n').filter(Boolean))
  const places = Object.fromEntries(PLACES.map((place) => [place, read(place)])) as Record<Place, Buffer>
  return { places, secrets: [...noted].map((line) => JSON.parse(line) as string) }
}
