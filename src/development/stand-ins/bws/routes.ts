import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BWS_TASKS, type BwsTask } from '../../../core/bws/task.ts'
import type { BwsToken } from '../../../core/bws/verify.ts'
import { registerBasicAuth } from '../../../http/basic-auth.ts'
import type { BwsGate } from '../gates.ts'
import { createProblemHandler, Problem } from '../problem.ts'
import { createQueryReader, MAX_UPLOAD_BYTES, readBodiesAsBytes, serveMethod } from '../routes.ts'
import type { Attempt, AttemptRequest } from './attempt.ts'
import type { TokenUse, Upload } from './biometrics.ts'
import { allowAnyOrigin, servePreflight } from './cors.ts'
import { inspectImage } from './image.ts'
import { operationQuery, resultQuery, uploadQuery } from './schema.ts'
import { notAnImage, readSample } from './upload-body.ts'

/** Samples and attempts, which every process has. */
export interface SharedBiometrics {
  /** Resolves to why a sample is not accepted, or null. */
  upload(upload: Upload): Promise<string | null>
  /** Resolves to null where there are no samples. */
  perform(request: AttemptRequest): Promise<Attempt | null>
  use(tokenId: string): TokenUse | undefined
}

const CONTENT_TYPE = 'application/json; charset=utf-8'

/** The vendor serves its API at both. */
const PREFIXES = ['', '/extension'] as const

const readUploadQuery = createQueryReader(uploadQuery)
const readOperationQuery = createQueryReader(operationQuery)
const readResultQuery = createQueryReader(resultQuery)

/** Serves what BioID's classic BWS does with a token (S1 to S9). */
export async function serveBws(app: FastifyInstance, gate: BwsGate, biometrics: SharedBiometrics): Promise<void> {
  for (const prefix of PREFIXES) {
    await app.register(async (scope) => serveSamples(scope, gate, biometrics), { prefix })
    await app.register(async (scope) => serveResult(scope, gate, biometrics), { prefix })
  }
}

/** The calls of the vendor's capture script, which runs in a page. */
function serveSamples(
  app: FastifyInstance,
  { check, clock, refuseToken }: BwsGate,
  biometrics: SharedBiometrics,
): void {
  app.setErrorHandler(createProblemHandler('bws', CONTENT_TYPE, refuseToken))
  readBodiesAsBytes(app)
  app.decorateRequest('checkedToken', null)
  allowAnyOrigin(app)
  servePreflight(app, '/upload', 'POST')
  for (const task of BWS_TASKS) servePreflight(app, `/${task}`, 'GET')

  serveMethod(
    app,
    {
      method: 'POST',
      url: '/upload',
      bodyLimit: MAX_UPLOAD_BYTES,
      config: { operation: 'upload' },
      // Before the body is read.
      async onRequest(request) {
        request.setDecorator('checkedToken', (await check(request, 'upload')).token)
      },
      handler: (request, reply) => send(reply, upload(request)),
    },
    ['OPTIONS'],
  )
  for (const task of BWS_TASKS) {
    serveMethod(
      app,
      {
        method: 'GET',
        url: `/${task}`,
        config: { operation: task },
        handler: (request, reply) => send(reply, perform(request, task)),
      },
      ['OPTIONS'],
    )
  }

  async function upload(request: FastifyRequest) {
    const { tokenId, app: appId, bcid } = request.getDecorator<BwsToken>('checkedToken')
    const { tag, index, trait } = readUploadQuery(request)
    const bytes = readSample(request.body)
    const image = inspectImage(bytes)
    if (image === undefined) throw notAnImage()
    if (typeof image === 'string') return { Accepted: false, Error: image, Warnings: [] }
    const sample = { ...image, bytes: bytes.length, directions: tag, index, trait, time: clock() }
    const error = await biometrics.upload({ tokenId, app: appId, bcid, sample })
    return { Accepted: error === null, Error: error, Warnings: [] }
  }

  async function perform(request: FastifyRequest, task: BwsTask) {
    const { token, triesLeft = 0 } = await check(request, task)
    const { livedetection, maxresults } = readOperationQuery(request)
    const { options, challenge } = token
    const attempt = await biometrics.perform({
      tokenId: token.tokenId,
      app: token.app,
      bcid: token.bcid,
      task,
      isLive: options.livedetection || livedetection,
      challenge: challenge?.[options.maxtries - triesLeft - 1] ?? null,
      autoenroll: options.autoenroll,
      maxResults: maxresults,
      time: clock(),
    })
    if (!attempt) throw new Problem(400, `No samples were uploaded with this token. Tries left: ${triesLeft}.`)
    return toOperationReply(attempt)
  }
}

const toOperationReply = ({ task, success, error, matches }: Attempt) =>
  task === 'identify'
    ? { Success: success, Matches: matches.map(toMatch), Error: error }
    : { Success: success, Error: error }

function toMatch({ bcid, score }: Attempt['matches'][number]) {
  const [storage, partition, classId] = bcid.split('/')
  return { Score: score, Storage: storage, Partition: Number(partition), ClassID: Number(classId) }
}

/** The call of the app that asked for the token. */
async function serveResult(app: FastifyInstance, gate: BwsGate, biometrics: SharedBiometrics): Promise<void> {
  const { apps, guard, clock, audit, tokens } = gate
  app.setErrorHandler(createProblemHandler('bws', CONTENT_TYPE, gate.refuseApp))
  const basicAuth = await registerBasicAuth(app, { kind: 'app', holders: apps, guard, clock, audit })
  serveMethod(app, {
    method: 'GET',
    url: '/result',
    config: { operation: 'result' },
    async handler(request, reply) {
      const { id } = await basicAuth.authenticate(request, reply)
      const found = await tokens.find(readResultQuery(request).access_token)
      // The result is there for longer than the token.
      if (!('token' in found)) throw new Problem(400, 'access_token must be a token that this service has issued.')
      const { app: owner, tokenId } = found.token
      if (owner !== id) throw new Problem(403, 'The token was issued to another app.')
      const attempt = biometrics.use(tokenId)?.attempts.at(-1)
      if (attempt) return send(reply, Promise.resolve(toResult(attempt)))
      return reply.code(204).header('cache-control', 'no-store').send()
    },
  })
}

const ACTIONS: Readonly<Record<BwsTask, string>> = {
  verify: 'verification',
  enroll: 'enrollment',
  identify: 'identification',
  livenessdetection: 'livenessdetection',
}

function toResult({ task, bcid, success, error, matches }: Attempt) {
  const result = { Action: ACTIONS[task], BCID: bcid, Success: success, Error: error }
  if (task !== 'identify') return result
  const partition = `${bcid.slice(0, bcid.lastIndexOf('/') + 1)}0`
  return { ...result, BCID: partition, Matches: matches.map(({ bcid: BCID, score: Score }) => ({ BCID, Score })) }
}

async function send(reply: FastifyReply, body: Promise<unknown>): Promise<string> {
  const text = JSON.stringify(await body)
  reply.header('content-type', CONTENT_TYPE).header('cache-control', 'no-store')
  return text
}
