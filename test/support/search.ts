/** Returns the secrets that occur in some bytes: verbatim, or encoded as JSON, URLs and forms do. */
export function findSecrets(bytes: Buffer, secrets: readonly string[]): string[] {
  const wanted = index(secrets)
  const hints = new Uint8Array(1 << HINT_BITS)
  for (const end of wanted.keys()) hints[hintOf(end)] = 1
  const found = new Set<string>()
  // One pass for all secrets: one search for each of thousands takes minutes.
  let end = 0
  for (let at = 0; at < bytes.length; at++) {
    end = (end << 8) | (bytes[at] ?? 0)
    if (hints[hintOf(end)] === 0) continue
    for (const { secret, form } of wanted.get(end) ?? []) {
      const start = at + 1 - form.length
      if (start >= 0 && form.equals(bytes.subarray(start, at + 1))) found.add(secret)
    }
  }
  return [...found]
}

/** Few positions end a secret, and a bit table of this size rules out the others faster than a map. */
const HINT_BITS = 20

function hintOf(end: number): number {
  return Math.imul(end, 0x9e3779b1) >>> (32 - HINT_BITS)
}

/** Shorter forms are ordinary words, or occur by chance in the random text of a whole run. */
const MIN_BYTES = 8

/** How many of a form's last bytes the index keeps. */
const INDEXED_BYTES = 4

type Wanted = ReadonlyMap<number, { readonly secret: string; readonly form: Buffer }[]>

/** Indexes secrets by their last four bytes: tokens begin alike and end differently. */
function index(secrets: readonly string[]): Wanted {
  const wanted = new Map<number, { secret: string; form: Buffer }[]>()
  for (const secret of secrets) {
    for (const form of formsOf(secret)) {
      if (form.length < MIN_BYTES) continue
      const end = form.readInt32BE(form.length - INDEXED_BYTES)
      const others = wanted.get(end)
      if (others) others.push({ secret, form })
      else wanted.set(end, [{ secret, form }])
    }
  }
  return wanted
}

function formsOf(secret: string): Buffer[] {
  const form = new URLSearchParams({ '': secret }).toString().slice(1)
  const forms = new Set([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), form])
  return [...forms].map((text) => Buffer.from(text))
}
