import type { OutcomeList } from '../outcomes/list.ts'
import type { OutcomeTypes } from '../outcomes/schema.ts'

/** An upload as every process gets it: it survives JSON. */
export interface JourneyUpload {
  /** A new id, for an upload that begins a journey. */
  readonly id: string
  /** The journey that the upload continues; null for none. */
  readonly continues: string | null
  readonly tokenId: string
  readonly account: string
  /** The body: JSON text of an object. */
  readonly text: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** A journey as it is kept. */
export interface Journey {
  readonly id: string
  readonly tokenId: string
  /** The newest upload: JSON text of an object. */
  readonly text: string
  /** How many uploads it consists of. */
  readonly documents: number
  /** Milliseconds since the epoch. */
  readonly initiated: number
  /** The outcome that was chosen for the newest upload; null without one. */
  readonly outcome: OutcomeTypes['journey'] | null
}

/** The journeys of one process. Every process has the same. */
export interface Journeys {
  /** Returns the id of the journey. */
  upload(upload: JourneyUpload): string
  find(id: string): Journey | undefined
  /** Returns the journeys that were uploaded with a token, the oldest first. */
  ofToken(tokenId: string): readonly Journey[]
  all(): readonly Journey[]
  replaceAll(journeys: readonly Journey[]): void
}

const MAX_JOURNEYS = 1_000
const MAX_TOTAL_LENGTH = 32 * 1024 * 1024
const MAX_DOCUMENTS = 20

export function createJourneys(outcomes: OutcomeList): Journeys {
  let journeys = new Map<string, Journey>()
  let totalLength = 0

  function remove(id: string): void {
    totalLength -= journeys.get(id)?.text.length ?? 0
    journeys.delete(id)
  }

  function put(journey: Journey): void {
    remove(journey.id)
    journeys.set(journey.id, journey)
    totalLength += journey.text.length
    for (const oldest of journeys.keys()) {
      if (journeys.size <= MAX_JOURNEYS && totalLength <= MAX_TOTAL_LENGTH) break
      remove(oldest)
    }
  }

  return {
    upload({ id, continues, tokenId, account, text, time }) {
      const continued = continues === null ? undefined : journeys.get(continues)
      const { id: own, documents, initiated } = continued ?? { id, documents: 0, initiated: time }
      const outcome = outcomes.take('journey', { account, bcid: undefined, app: undefined }) ?? null
      put({ id: own, tokenId, text, documents: Math.min(documents + 1, MAX_DOCUMENTS), initiated, outcome })
      return own
    },
    find: (id) => journeys.get(id),
    ofToken: (tokenId) => [...journeys.values()].filter((journey) => journey.tokenId === tokenId),
    all: () => [...journeys.values()],
    replaceAll(next) {
      journeys = new Map()
      totalLength = 0
      for (const journey of next) put(journey)
    },
  }
}
