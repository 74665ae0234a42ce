import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FULL } from '../../support/full.ts'
import { CAMPAIGN_MS, createTally, reportFinding, SEED } from '../../support/fuzz/campaign.ts'
import { type Conformance, createConformance } from '../../support/fuzz/conformance.ts'
import { expectHealthy, expectQuiet } from '../../support/fuzz/healthy.ts'
import { type Answer, type Connection, encodeRequest, openConnection, show } from '../../support/fuzz/http.ts'
import { change, type Mutation, mutations } from '../../support/fuzz/mutations.ts'
import { type Draft, FUZZED, right } from '../../support/fuzz/requests.ts'
import { startElsewhere, startHere } from '../../support/fuzz/target.ts'
import { OPERATIONS } from '../../support/nevisfido.ts'

// Issues, checks, redeems, introspects and revokes tokens in every order, with changed requests in between. A model
// predicts each correct answer. A changed request may have the effect of the correct one or none.

type Contract = 'bws' | 'idscan' | 'nevisfido'
type Operation = (typeof OPERATIONS)[number]['operation']

/** A token in the model. */
interface Token {
  readonly contract: Contract
  readonly token: string
  /** The task, area or operation of the token. */
  readonly purpose: string
  readonly sessionId?: string
  triesLeft: number
  redeemed: boolean
  revoked: boolean
}

interface Model {
  readonly tokens: Token[]
}

/** What commands act on. */
interface Real {
  readonly connection: Connection
  readonly conformance: Conformance
  readonly count: (status: number) => void
}

const isActive = ({ triesLeft, redeemed, revoked }: Token): boolean => triesLeft > 0 && !redeemed && !revoked

async function ask({ connection, conformance, count }: Real, draft: Draft, changes: Changes = []): Promise<Answer> {
  const request = change({ draft, mutations: changes }, (text) => text)
  const [answer] = await connection.ask([request])
  // The body was too large and the server closed the connection.
  if (!answer) return { status: 413, headers: new Map(), body: Buffer.alloc(0) }
  count(answer.status)
  const faults = conformance.faultsOf(request, answer)
  if (faults.length > 0)
    throw new Error(`${faults.join('; ')}\nto ${show(encodeRequest(request))}\n${show(answer.body)}`)
  return answer
}

type Changes = readonly Mutation[]

const json = ({ body }: Answer): Record<string, unknown> => JSON.parse(String(body)) as Record<string, unknown>
const statusCodeOf = (answer: Answer): unknown => json(answer).statusCode

/** An operation on a token. */
interface Step {
  readonly name: string
  draft(token: Token): Draft | undefined
  /** Compares the answer with the model, and updates the model. */
  expect(token: Token, answer: Answer): void
  /** Updates the model from the answer to a changed request. */
  learn(token: Token, answer: Answer): void
}

const nothing = (): void => undefined

const introspect: Step = {
  name: 'introspect',
  draft: ({ token }) => right.aboutToken('/introspect', token),
  expect(token, answer) {
    const { contract, triesLeft } = token
    if (!isActive(token)) expect(json(answer)).toEqual({ active: false })
    else {
      const said = contract === 'bws' ? { contract, triesLeft } : { contract }
      expect(json(answer)).toMatchObject({ active: true, trimint: said })
    }
  },
  learn: nothing,
}

const revoke: Step = {
  name: 'revoke',
  draft: ({ token }) => right.aboutToken('/revoke', token),
  expect(token, answer) {
    expect([answer.status, answer.body.length]).toEqual([200, 0])
    token.revoked = true
  },
  // The answer does not show whether this token was revoked. Introspection does.
  learn: nothing,
}

function check(purpose: string): Step {
  return {
    name: `check for ${purpose}`,
    draft({ contract, token }) {
      if (contract === 'bws') return right.checkBws(purpose, token)
      return contract === 'idscan' && AREAS.has(purpose) ? right.checkIdscan(purpose, token) : undefined
    },
    expect(token, answer) {
      const { contract, revoked, purpose: own } = token
      if (contract === 'bws') expectBwsCheck(token, purpose, answer)
      else expect(answer.status).toBe(revoked ? 401 : purpose === own ? 200 : 403)
    },
    learn(token, answer) {
      if (answer.status === 200 && answer.headers.has('x-trimint-tries-left')) token.triesLeft--
    },
  }
}

function expectBwsCheck(token: Token, purpose: string, { status, headers }: Answer): void {
  if (AREAS.has(purpose)) return void expect(status).toBe(404)
  const { revoked, triesLeft, purpose: own } = token
  if (revoked) return void expect(status).toBe(401)
  if (purpose === 'upload') return void expect(status).toBe(200)
  if (purpose !== own || triesLeft === 0) return void expect(status).toBe(403)
  token.triesLeft--
  expect([status, headers.get('x-trimint-tries-left')]).toEqual([200, [String(token.triesLeft)]])
}

function redeem(operation: Operation): Step {
  return {
    name: `redeem for ${operation}`,
    draft: ({ contract, token }) => (contract === 'nevisfido' ? right.redeemFido(operation, token) : undefined),
    expect(token, answer) {
      const { redeemed, revoked, purpose: own } = token
      const ended = redeemed || revoked
      expect(statusCodeOf(answer)).toBe(ended ? 1491 : operation === own ? 1200 : 1498)
      if (!ended && operation === own) token.redeemed = true
    },
    learn(token, answer) {
      if (answer.status === 200 && answer.body.includes('"statusCode":1200')) token.redeemed = true
    },
  }
}

const STATUS_WHEN_REDEEMED: Readonly<Record<string, string>> = {
  registration: 'clientRegistering',
  authentication: 'clientAuthenticating',
  deregistration: 'succeeded',
}

const status: Step = {
  name: 'status',
  draft: ({ sessionId }) => (sessionId === undefined ? undefined : right.fidoStatus(sessionId)),
  expect({ redeemed, revoked, purpose }, answer) {
    // The first outcome stays: revoking does not undo a redeemed deregistration.
    const whenRedeemed = revoked && purpose !== 'deregistration' ? 'failed' : STATUS_WHEN_REDEEMED[purpose]
    expect(json(answer).status).toBe(redeemed ? whenRedeemed : revoked ? 'failed' : 'tokenCreated')
  },
  learn: nothing,
}

const TASKS = ['verify', 'identify', 'enroll', 'livenessdetection'] as const
const AREAS = new Set(['scanning', 'investigation'])

const steps = fc.oneof(
  fc.constantFrom(introspect, introspect, revoke, status, status),
  fc.constantFrom('upload', ...TASKS, ...AREAS).map(check),
  fc.constantFrom(...OPERATIONS.map(({ operation }) => operation)).map(redeem),
)

type Command = fc.AsyncCommand<Model, Real>

const issues = fc.oneof(
  fc.tuple(fc.constantFrom(...TASKS), fc.integer({ min: 1, max: 3 })).map(
    ([task, tries]): Command =>
      command(`issue a BWS token for ${task}`, async (model, real) => {
        const answer = await ask(real, right.issueBws(`&task=${task}&maxtries=${tries}`))
        expect(answer.status).toBe(200)
        model.tokens.push(toToken('bws', String(answer.body), task, tries))
      }),
  ),
  fc.constantFrom(...AREAS).map(
    (area): Command =>
      command(`issue an IDscan token for ${area}`, async (model, real) => {
        const token = String(json(await ask(real, right.issueIdscan(area))).access_token)
        model.tokens.push(toToken('idscan', token, area))
      }),
  ),
  fc.constantFrom(...OPERATIONS).map(
    ({ operation }): Command =>
      command(`create a nevisFIDO token for ${operation}`, async (model, real) => {
        const { token, sessionId } = json(await ask(real, right.createFido(operation)))
        model.tokens.push({ ...toToken('nevisfido', String(token), operation), sessionId: String(sessionId) })
      }),
  ),
)

const toToken = (contract: Contract, token: string, purpose: string, triesLeft = 1): Token => ({
  contract,
  token,
  purpose,
  triesLeft,
  redeemed: false,
  revoked: false,
})

function command(name: string, run: Command['run'], check: Command['check'] = () => true): Command {
  return { check, run, toString: () => name }
}

const pick = ({ tokens }: Readonly<Model>, where: number): Token | undefined => tokens[where % tokens.length]

/** Generates a correct request about an existing token. */
const rightSteps = fc.tuple(steps, fc.nat(99)).map(([step, where]) =>
  command(
    `${step.name} (${where})`,
    async (model, real) => {
      const token = pick(model, where)
      const draft = token && step.draft(token)
      if (token && draft) step.expect(token, await ask(real, draft))
    },
    ({ tokens }) => tokens.length > 0,
  ),
)

/** Detects a revocation of a token that was already redeemed or used up, which introspection cannot show. */
async function seemsRevoked({ contract, token, purpose, sessionId }: Token, real: Real): Promise<boolean> {
  if (contract === 'bws') return (await ask(real, right.checkBws('upload', token))).status === 401
  if (contract === 'idscan') return (await ask(real, right.checkIdscan(purpose, token))).status === 401
  return json(await ask(real, right.fidoStatus(sessionId ?? ''))).status === 'failed'
}

/** Generates a changed request. Introspection afterwards shows its effect, and the model whether that is allowed. */
const changedSteps = fc
  .tuple(steps, fc.nat(99), fc.array(mutations, { minLength: 1, maxLength: 3 }))
  .map(([step, where, changes]) =>
    command(
      `${step.name} (${where}), changed: ${changes.map(({ what }) => what).join('; ')}`,
      async (model, real) => {
        const token = pick(model, where)
        const draft = token && step.draft(token)
        if (!token || !draft) return
        const answer = await ask(real, draft, changes)
        step.learn(token, answer)
        const { active } = json(await ask(real, right.aboutToken('/introspect', token.token)))
        // Only a revocation that was answered with 200 can have taken effect.
        if (step === revoke && answer.status === 200) token.revoked ||= await seemsRevoked(token, real)
        expect(active, `after ${step.name}, changed: ${changes.map(({ what }) => what)}`).toBe(isActive(token))
      },
      ({ tokens }) => tokens.length > 0,
    ),
  )

test('keeps each token in the state that its history implies, after calls in any order', {
  timeout: CAMPAIGN_MS + 60_000,
}, async () => {
  await using target = await (FULL ? startElsewhere(FUZZED) : startHere(FUZZED))
  const conformance = createConformance()
  const tally = createTally()
  let runs = 0
  const commands = fc.commands([issues, issues, rightSteps, rightSteps, changedSteps], { maxCommands: 40, size: 'max' })
  const isAsTheModelSays = fc.asyncProperty(commands, async (given) => {
    const connection = openConnection(target.port)
    const setup = () => ({
      model: { tokens: [] },
      real: { connection, conformance, count: (code: number) => tally.count(code) },
    })
    await fc.asyncModelRun(setup, given).catch((error: Error) => {
      throw new Error(`${error.message}\nafter: ${given}`, { cause: error })
    })
    await connection.close()
    expect(target.faults()).toEqual([])
    if (++runs % 100 === 0) await expectHealthy(target.port)
  })
  const lanes = FULL ? 3 : 1
  await Promise.all(
    Array.from({ length: lanes }, (_, lane) =>
      fc.assert(isAsTheModelSays, {
        seed: SEED + lane,
        numRuns: Math.ceil((FULL ? 6_000 : 30) / lanes),
        interruptAfterTimeLimit: CAMPAIGN_MS,
        endOnFailure: true,
        reporter: reportFinding,
      }),
    ),
  )
  await expectHealthy(target.port)
  await expectQuiet(target)
  tally.report('lives of tokens')
})
