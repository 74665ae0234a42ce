import { z } from 'zod'
import { expected, label, machineSecret, wholeNumber } from '../value-schemas.ts'
import { listOf } from './combinators.ts'

const settings = z.strictObject({
  token: machineSecret.optional().meta({
    description:
      'Digest of a secret that requests to `/_trimint` send as `Authorization: Bearer`. With it, every `Host` is accepted.',
  }),
  hosts: listOf(label, 'a list of host names').default([]).meta({
    description: 'Further values of `Host`, besides loopback addresses and the host of `publicUrl`.',
  }),
  journal: wholeNumber(0, 100_000).default(1_000).meta({ description: 'Number of requests that the journal keeps.' }),
})

/** The control API for local development; `true` stands for its defaults. */
export const control = z
  .union(
    [z.literal(false), z.literal(true).transform(() => settings.parse({})), settings],
    expected('true, false, or settings'),
  )
  .default(false)
