import { z } from 'zod'
import { expected, identifier, keySecret, machineSecret, timestamp } from '../value-schemas.ts'
import { always, type Fields } from './combinators.ts'

/** One of the secrets that an app, client or resource server may present. */
export const secretSlot = z.strictObject({
  secret: machineSecret.meta({ description: 'Digest of the secret.' }),
  notAfter: timestamp
    .optional()
    .meta({ description: 'Time from which Trimint rejects this secret. Without it, the secret does not expire.' }),
})

const credentials = {
  id: identifier.meta({ description: 'User name in HTTP Basic.' }),
  secret: machineSecret.optional().meta({
    description:
      'Digest of the secret: `trimint hash-secret` prints a new secret and its digest. Either `secret` or `secrets` is required.',
  }),
  secrets: z
    .array(secretSlot, expected('a list'))
    .min(1, expected('at least one secret'))
    .optional()
    .meta({ description: 'Several secrets that are valid at the same time, to replace one without an interruption.' }),
}

/** Returns a schema for an entry with credentials: one secret, or several that are valid at the same time. */
export function withSecrets<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject({ ...credentials, ...shape }).superRefine((value, context) => {
    const { secret, secrets } = (value ?? {}) as Fields
    if ((secret === undefined) === (secrets === undefined)) {
      const failure = secret === undefined ? 'no secret' : 'both secret and secrets'
      context.addIssue({ code: 'custom', message: `${failure}; expected either secret, or a list of secrets` })
    }
  }, always)
}

/** An HS256 key that signs or verifies tokens. */
export const signingKey = z.strictObject({
  secret: keySecret.meta({ description: 'The key: `trimint new-key` prints one.' }),
  id: identifier.optional().meta({
    description:
      'Name of the key in commands and in the log. Without it, the key is named after its place: `key-1`, `key-2`.',
  }),
  created: timestamp.optional().meta({
    description:
      'Time when the key was made. Without an id, `trimint keys promote` takes the key with the latest time.',
  }),
  notAfter: timestamp.optional().meta({
    description: 'Time from which the key neither signs nor verifies. Without it, the key does not expire.',
  }),
})
