import { z } from 'zod'

// Each parameter's message completes the sentence "<name> must be …". Names are in lower case.

const DIRECTIONS = ['up', 'down', 'left', 'right'] as const
const TAG = `any, or some of ${DIRECTIONS.join(', ')}`

const tag = z.string().transform((text, context): readonly string[] => {
  const words = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word !== '' && word !== 'any')
  if (words.every((word) => DIRECTIONS.some((direction) => direction === word))) return words
  context.addIssue({ code: 'custom', message: TAG })
  return z.NEVER
})

const INDEX = 'a whole number up to 9 digits'
const TRAIT = 'a list of Face, Periocular, Voice'

/** The query of `POST /upload` (S2, S3). */
export const uploadQuery = z.object({
  tag: tag.prefault(''),
  index: z
    .string()
    .regex(/^\d{0,9}$/, { error: INDEX })
    .transform((text) => (text === '' ? undefined : Number(text)))
    .optional(),
  trait: z
    .string()
    .regex(/^\s*(?:(?:face|periocular|voice)\s*(?:,\s*|$))*$/i, { error: TRAIT })
    .max(100, { error: TRAIT })
    .optional(),
})

const BOOLEAN = 'true or false'
const MAX_RESULTS = 'a whole number from 1'

/** The query of the operations (S4, S6). */
export const operationQuery = z.object({
  livedetection: z
    .string()
    .regex(/^(?:true|false)$/i, { error: BOOLEAN })
    .transform((text) => text.toLowerCase() === 'true')
    .prefault('false'),
  maxresults: z
    .string()
    .regex(/^0*[1-9]\d{0,8}$/, { error: MAX_RESULTS })
    .transform(Number)
    .prefault('20'),
})

/** The query of `GET /result` (S7). */
export const resultQuery = z.object({
  access_token: z.string({ error: 'a token that this service has issued' }),
})
