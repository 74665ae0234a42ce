import { z } from 'zod'

/** FIDO UAF 1.1 application API, SendUAFResponse (U9). Unknown members are ignored. */
export const responseBody = z.object({
  uafResponse: z.string().meta({ description: 'JSON text of an array with one UAF response.' }),
  context: z.string().optional().meta({
    description: 'JSON text. `asmStatusCode`, where it has one, becomes part of the status.',
    example: '{"asmStatusCode":0}',
  }),
})

/** The reply to a response (U7). */
export const responseReply = z.object({ statusCode: z.int().meta({ description: 'FIDO UAF status code.' }) })

export type ResponseReply = z.output<typeof responseReply>

/** FIDO AppID and Facet Specification, section 3.1 (U3). */
export const facetsReply = z.object({
  trustedFacets: z.array(
    z.object({ version: z.object({ major: z.literal(1), minor: z.literal(1) }), ids: z.array(z.string()) }),
  ),
})

export type FacetsReply = z.output<typeof facetsReply>
