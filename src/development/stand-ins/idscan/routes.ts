import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { decodeUtf8 } from '../../../config/utf8.ts'
import type { Clock } from '../../../core/clock.ts'
import type { IdscanClaims } from '../../../core/idscan/verify.ts'
import type { Randomness } from '../../../core/randomness.ts'
import { mergePatch } from '../../configuration/merge-patch.ts'
import { isShallow, MAX_JSON_DEPTH } from '../../json-depth.ts'
import type { IdscanGate } from '../gates.ts'
import { createProblemHandler, Problem } from '../problem.ts'
import { createQueryReader, MAX_UPLOAD_BYTES, readBodiesAsBytes, serveMethod } from '../routes.ts'
import { DEFAULT_DEFINITIONS, describeJourney } from './documents.ts'
import { readFixture } from './fixtures.ts'
import type { Journey, JourneyUpload } from './journeys.ts'

/** Journeys, which every process has. */
export interface SharedJourneys {
  /** Resolves to the id of the journey. */
  upload(upload: JourneyUpload): Promise<string>
  find(id: string): Journey | undefined
}

export interface IdscanDependencies {
  readonly journeys: SharedJourneys
  readonly clock: Clock
  readonly randomness: Randomness
}

/** Spelled as the vendor's server does (I15). */
const CONTENT_TYPE = 'application/json;charset=UTF-8'

const GUID = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i

const journeyQuery = z.object({
  journeyid: z
    .string({ error: 'a GUID' })
    .regex(GUID, { error: 'a GUID' })
    .transform((text) => text.replace(GUID, '$1').toLowerCase()),
})

/** Serves what GBG's IDscan Enterprise does with a token (S10 to S14). Any spelling of a path leads here (I1). */
export function serveIdscan(app: FastifyInstance, gate: IdscanGate, dependencies: IdscanDependencies): void {
  const { check, refuseToken, fixtures } = gate
  const { journeys, clock, randomness } = dependencies
  const readJourneyQuery = createQueryReader(journeyQuery)
  app.setErrorHandler(createProblemHandler('idscan', CONTENT_TYPE, refuseToken))
  readBodiesAsBytes(app)
  app.decorateRequest('checkedClaims', null)

  serveMethod(app, {
    method: 'POST',
    url: '/idscanenterprisesvc/journey/upload',
    bodyLimit: MAX_UPLOAD_BYTES,
    config: { operation: 'scanning' },
    // Before the body is read.
    async onRequest(request) {
      request.setDecorator('checkedClaims', await check(request, 'scanning'))
    },
    async handler(request, reply) {
      const { jti: tokenId, sub: account } = request.getDecorator<IdscanClaims>('checkedClaims')
      const { text, continues } = readUpload(request.body)
      const id = await journeys.upload({ id: randomness.uuid(), continues, tokenId, account, text, time: clock() })
      return send(reply, await render(id))
    },
  })
  serveMethod(app, {
    method: 'GET',
    url: '/idscanenterprisesvc/journey/get',
    config: { operation: 'investigation' },
    async handler(request, reply) {
      await check(request, 'investigation')
      return send(reply, await render(readJourneyQuery(request).journeyid))
    },
  })
  serveMethod(app, {
    method: 'GET',
    url: '/idscanenterprisesvc/journeydefinition/getall',
    config: { operation: 'investigation' },
    async handler(request: FastifyRequest, reply) {
      await check(request, 'investigation')
      return send(reply, (await readFixture(fixtures, 'definitions.json', 'list')) ?? DEFAULT_DEFINITIONS)
    },
  })

  /** Returns a journey with what fixtures and outcomes add to it: the later one of a member wins. */
  async function render(id: string): Promise<unknown> {
    const journey = journeys.find(id)
    const own = await readFixture(fixtures, `${id}.json`)
    if (!journey && own === undefined) throw new Problem(404, 'There is no journey with this JourneyID.')
    const layers = [
      journey && describeJourney(journey),
      await readFixture(fixtures, 'journey.json'),
      journey && toLayer(journey),
      own,
      { JourneyId: id },
    ]
    const uploaded: unknown = journey ? JSON.parse(journey.text) : {}
    return layers.filter((layer) => layer !== undefined).reduce(mergePatch, uploaded)
  }
}

function toLayer({ outcome }: Journey): unknown {
  if (outcome === null || outcome === 'success') return undefined
  return typeof outcome === 'string' ? { HighLevelResult: outcome } : outcome
}

/** @throws Problem unless a body is a JSON object. */
function readUpload(body: unknown): Pick<JourneyUpload, 'text' | 'continues'> {
  const content = Buffer.isBuffer(body) ? decodeUtf8(body) : undefined
  const text = content && 'text' in content ? content.text.replace(/^\ufeff/, '') : ''
  const json = parse(text)
  if (typeof json !== 'object' || json === null || Array.isArray(json) || !isShallow(json)) {
    throw new Problem(
      400,
      `The body is not a JSON object; expected one in UTF-8, at most ${MAX_JSON_DEPTH} levels deep.`,
    )
  }
  const { PersonEntryId: continued } = json as { PersonEntryId?: unknown }
  const id = typeof continued === 'string' ? GUID.exec(continued)?.[1] : undefined
  return { text, continues: id?.toLowerCase() ?? null }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function send(reply: FastifyReply, body: unknown): string {
  reply.header('content-type', CONTENT_TYPE).header('cache-control', 'no-cache, no-store')
  return JSON.stringify(body)
}
