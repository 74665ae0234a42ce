import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { PasswordChecker } from '../core/crypto/passwords.ts'
import { version } from './version.ts'

/** Seconds. Most requests take less than a millisecond, a password check takes tens. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/**
 * The metrics of one instance. They outlive reloads. Every label has few values, all known in advance.
 *
 * @see docs/monitoring.md
 */
export interface Metrics {
  readonly registry: Registry
  readonly issued: Counter<'contract'>
  readonly redeemed: Counter<'contract'>
  readonly answered: Counter<'contract'>
  readonly checked: Counter<'contract'>
  readonly introspected: Counter<'contract'>
  readonly revoked: Counter<'contract'>
  /** `injected` is set for injected faults only. */
  readonly refused: Counter<'contract' | 'reason' | 'injected'>
  /** By the position of the secret in its list: a secret that is no longer counted can be removed. */
  readonly secretsUsed: Counter<'holder' | 'slot'>
  readonly requestDuration: Histogram<'route' | 'status'>
  readonly storeDuration: Histogram<'store' | 'operation'>
  readonly storeErrors: Counter<'store' | 'operation'>
  /** Running or queued. */
  readonly passwordChecks: Gauge
  readonly guardBlocks: Counter<'scope'>
  readonly logErrors: Counter
  readonly logLinesDropped: Counter
  /** When the certificate in use expires. */
  readonly certificateExpiry: TimeLeft
  /** nevisFIDO sessions that this process created and whose tokens have not expired. */
  readonly sessions: ExpiringCount
}

/** A gauge of the days until a time. */
interface TimeLeft {
  /** @param time milliseconds since the epoch; undefined removes the series. */
  set(time: number | undefined): void
}

/** A gauge of things that expire. */
export interface ExpiringCount {
  /** @param expires milliseconds since the epoch. */
  add(expires: number): void
}

/**
 * Creates the metrics of one instance.
 *
 * @param clock milliseconds since the epoch.
 * @param process adds the metrics of Node itself. They watch the whole process for as long as it lives.
 */
export function createMetrics(clock: () => number, { process: ofProcess = false } = {}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (ofProcess) collectDefaultMetrics({ register: registry })
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name: `trimint_${name}_total`, help, labelNames, registers })
  const histogram = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Histogram({ name: `trimint_${name}_seconds`, help, labelNames, buckets: BUCKETS, registers })

  const buildInfo = new Gauge({
    name: 'trimint_build_info',
    help: 'Always 1; the labels name the versions.',
    labelNames: ['version', 'node'],
    registers,
    aggregator: 'first',
  })
  buildInfo.set({ version, node: process.versions.node }, 1)

  return {
    registry,
    issued: counter('tokens_issued', 'Tokens issued.', ['contract']),
    redeemed: counter('tokens_redeemed', 'Tokens redeemed.', ['contract']),
    answered: counter('tokens_answered', 'Sessions completed by a response of a FIDO client.', ['contract']),
    checked: counter('tokens_checked', 'Tokens that a gateway check accepted.', ['contract']),
    introspected: counter('tokens_introspected', 'Active tokens that were introspected.', ['contract']),
    revoked: counter('tokens_revoked', 'Tokens revoked over HTTP.', ['contract']),
    refused: counter('requests_refused', 'Refused requests, by the reasons of the audit log.', [
      'contract',
      'reason',
      'injected',
    ]),
    secretsUsed: counter('secrets_used', 'Correct secrets, by their position in `secrets`, from 0.', [
      'holder',
      'slot',
    ]),
    requestDuration: histogram('http_request_duration', 'Time from a request to its answer.', ['route', 'status']),
    storeDuration: histogram('store_duration', 'Time of one store operation.', ['store', 'operation']),
    storeErrors: counter('store_errors', 'Failed store operations.', ['store', 'operation']),
    passwordChecks: new Gauge({
      name: 'trimint_password_checks',
      help: 'Password checks that are running or queued.',
      registers,
    }),
    logErrors: counter('log_errors', 'Errors of writing the log.', []),
    logLinesDropped: counter('log_lines_dropped', 'Log lines dropped because the log could not be written.', []),
    guardBlocks: counter('guard_blocks', 'Blocks by the brute-force guard.', ['scope']),
    certificateExpiry: createDaysLeft(
      'trimint_certificate_expiry_days',
      'Days until the TLS certificate expires; negative once it has.',
      registry,
      clock,
    ),
    sessions: createExpiringCount(
      'trimint_sessions_live',
      'nevisFIDO sessions created by this process whose token has not expired.',
      registry,
      clock,
    ),
  }
}

const DAY_MS = 86_400_000

function createDaysLeft(name: string, help: string, registry: Registry, clock: () => number): TimeLeft {
  let end: number | undefined
  new Gauge({
    name,
    help,
    // A gauge without labels would be 0 where there is no certificate.
    labelNames: ['setting'],
    registers: [registry],
    // Workers that have not reloaded yet may have an older one.
    aggregator: 'min',
    collect() {
      this.reset()
      if (end !== undefined) this.set({ setting: 'tls' }, (end - clock()) / DAY_MS)
    },
  })
  return {
    set(time) {
      end = time
    },
  }
}

/** Keeps one number a second, so that its size depends on the longest lifetime, not on the load. */
function createExpiringCount(name: string, help: string, registry: Registry, clock: () => number): ExpiringCount {
  const bySecond = new Map<number, number>()
  const forget = (now: number): void => {
    for (const second of bySecond.keys()) if (second <= now) bySecond.delete(second)
  }
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      forget(clock() / 1000)
      this.set(bySecond.values().reduce((live, count) => live + count, 0))
    },
  })
  return {
    add(expires) {
      const second = Math.ceil(expires / 1000)
      const count = bySecond.get(second)
      // Once a second, also when nothing scrapes the metrics.
      if (count === undefined) forget(clock() / 1000)
      bySecond.set(second, (count ?? 0) + 1)
    },
  }
}

/** Returns a checker that counts its running and queued checks. */
export function measurePasswords({ check }: PasswordChecker, { passwordChecks }: Metrics): PasswordChecker {
  return {
    async check(...given) {
      passwordChecks.inc()
      try {
        return await check(...given)
      } finally {
        passwordChecks.dec()
      }
    },
  }
}
