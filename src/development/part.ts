import type { FastifyInstance } from 'fastify'
import type { ConfigIssue } from '../config/config-issue.ts'
import type { Configuration, ConfigurationInput } from '../config/schema.ts'
import type { BwsTokens } from '../core/bws/tokens.ts'
import type { Clock } from '../core/clock.ts'
import type { FidoTokens } from '../core/fido/tokens.ts'
import type { GuardMemory } from '../core/guard-memory.ts'
import type { IdscanTokens } from '../core/idscan/tokens.ts'
import type { Randomness } from '../core/randomness.ts'
import type { Revocations } from '../core/revocations.ts'
import type { RefusalReason } from '../http/refusal.ts'
import type { Stores } from '../store/open-stores.ts'
import type { FaultContract } from './faults/schema.ts'
import type { Shared } from './shared.ts'

/** Issued tokens under the configuration in force; undefined where a contract is switched off. */
export interface IssuedTokens {
  readonly bws: BwsTokens | undefined
  readonly idscan: IdscanTokens | undefined
  readonly nevisfido: FidoTokens | undefined
}

/** One part of the control API: what it serves below `/_trimint`, and what a reset does to it. */
export interface Part {
  routes?(app: FastifyInstance, tokens: IssuedTokens): void
  /** What `POST /_trimint/reset` restores, by the name in `only`. */
  readonly resets?: Readonly<Record<string, () => Promise<unknown>>>
  /** Ends what would outlive the server. */
  close?(): void
}

/** The running Trimint, as the parts see it. */
export interface Running {
  readonly stores: Stores
  readonly revocations: Revocations
  readonly guardMemory: GuardMemory
  /** Where Trimint listens. */
  url(): string
  configuration(): Configuration
  /** The configuration in force, as it was written. */
  input(): ConfigurationInput
  /** The patched configuration; undefined while the one of the start is in force. */
  patched(): ConfigurationInput | undefined
  /** Puts a patched configuration in force, completely or not at all. */
  patch(input: ConfigurationInput): Promise<Reloaded>
  /** Goes back to the configuration before the first patch. */
  restore(): Promise<void>
}

export type Reloaded =
  | { readonly changed: readonly string[]; readonly restart: readonly string[] }
  | { readonly issues: readonly ConfigIssue[] }

/** The reasons for which each contract has a reply. */
export type ReasonsByContract = Readonly<Record<FaultContract, readonly RefusalReason[]>>

/** What every part gets. */
export interface PartDependencies {
  readonly shared: Shared
  /** Trimint's clock, which the control API sets. */
  readonly clock: Clock
  /** The machine's time. */
  readonly systemClock: Clock
  readonly randomness: Randomness
  readonly reasons: ReasonsByContract
  /** Available once Trimint has started. */
  running(): Running
}
