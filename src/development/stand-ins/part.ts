import type { FastifyInstance } from 'fastify'
import type { Part, PartDependencies } from '../part.ts'
import type { Attempt, AttemptRequest, Sample } from './bws/attempt.ts'
import { createBiometrics, type Upload } from './bws/biometrics.ts'
import { serveBws } from './bws/routes.ts'
import type { Gates } from './gates.ts'
import { createJourneys, type Journey, type JourneyUpload } from './idscan/journeys.ts'
import { serveIdscan } from './idscan/routes.ts'
import type { OutcomeList } from './outcomes/list.ts'

/** What a token was used for, as the console shows it. */
export interface UseView {
  readonly samples?: readonly Sample[]
  readonly attempts?: readonly Attempt[]
  readonly journeys?: readonly Pick<Journey, 'id' | 'documents' | 'initiated'>[]
}

export interface StandInsPart extends Part {
  /** Serves the stand-ins that the configuration switches on. */
  readonly serve: (app: FastifyInstance, gates: Gates) => Promise<void>
  /** Returns what a token was used for; undefined where it was not. */
  readonly viewUse: (tokenId: string) => UseView | undefined
}

/** Answers the calls that follow a token, in the place of the vendors (docs/contracts/stand-ins.md). */
export function createStandInsPart(
  { shared, clock, randomness }: PartDependencies,
  outcomes: OutcomeList,
): StandInsPart {
  const biometrics = createBiometrics(outcomes)
  const journeys = createJourneys(outcomes)
  const upload = shared.define('biometrics.upload', (given: Upload) => biometrics.upload(given))
  const perform = shared.define('biometrics.perform', (given: AttemptRequest) => biometrics.perform(given))
  const uploadJourney = shared.define('journeys.upload', (given: JourneyUpload) => journeys.upload(given))
  const forget = shared.define('standIns.forget', () => {
    biometrics.restore({ uses: [], enrolled: [] })
    journeys.replaceAll([])
  })
  shared.keep('biometrics', biometrics.save, biometrics.restore)
  shared.keep('journeys', journeys.all, journeys.replaceAll)

  return {
    async serve(app, { bws, idscan }) {
      if (bws) {
        await serveBws(app, bws, {
          upload: async (given) => first(await upload(given)),
          perform: async (given): Promise<Attempt | null> => first(await perform(given)),
          use: biometrics.use,
        })
      }
      if (!idscan) return
      const sharedJourneys = {
        upload: async (given: JourneyUpload) => first(await uploadJourney(given)),
        find: journeys.find,
      }
      await app.register(async (scope) => serveIdscan(scope, idscan, { journeys: sharedJourneys, clock, randomness }))
    },
    viewUse(tokenId) {
      const use = biometrics.use(tokenId)
      const uploaded = journeys.ofToken(tokenId)
      if (!use && uploaded.length === 0) return undefined
      const listed = uploaded.map(({ id, documents, initiated }) => ({ id, documents, initiated }))
      return { ...use, ...(listed.length > 0 ? { journeys: listed } : {}) }
    },
    resets: { standIns: () => forget(undefined) },
  }
}

function first<Result>([result]: [Result, ...Result[]]): Result {
  return result
}
