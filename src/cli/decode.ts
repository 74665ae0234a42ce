import { decodeTask } from '../core/bws/task.ts'
import { decodeTraits } from '../core/bws/traits.ts'
import { type Claims, decodeJws, verifyJws } from '../core/crypto/jws.ts'
import { createKeyring } from '../core/crypto/keyring.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo } from './io.ts'

/** Prints the content of a signed token and the meaning of its bits. Only `verify` needs a key and proves anything. */
export function decode(io: CommandIo, token: string, verify: boolean): void {
  const decoded = decodeJws(token)
  if (!decoded)
    throw new CommandError(
      'not a signed token; expected three base64url parts separated by dots, JSON in the first two',
    )
  const { header, claims } = decoded
  io.stdout.write(`${JSON.stringify({ header, claims, meaning: explain(claims) }, undefined, 2)}\n`)
  if (verify) verifyToken(io, token, claims)
}

function verifyToken(io: CommandIo, token: string, claims: Claims): void {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  const now = io.clock()
  if (!verifyJws(token, createKeyring(loaded.configuration.keys), now))
    throw new CommandError('invalid signature: no configured key made it')
  const { exp, nbf } = claims
  if (typeof exp === 'number' && now >= exp * 1000) throw new CommandError('valid signature, but the token has expired')
  if (typeof nbf === 'number' && now < nbf * 1000)
    throw new CommandError('valid signature, but the token is not valid yet')
  io.stderr.write('valid signature, and the token is valid now\n')
}

function explain({ task, traits, nbf, exp }: Claims): Record<string, unknown> {
  return {
    ...(typeof task === 'number' ? (decodeTask(task) ?? { task: 'unknown' }) : {}),
    ...(typeof traits === 'number' ? { traits: decodeTraits(traits) } : {}),
    ...(typeof nbf === 'number' ? { notBefore: toIso(nbf) } : {}),
    ...(typeof exp === 'number' ? { expires: toIso(exp) } : {}),
  }
}

/** Returns an RFC 7519 NumericDate as ISO 8601; null if it is out of range. */
function toIso(numericDate: number): string | null {
  return new Date(numericDate * 1000).toJSON()
}
