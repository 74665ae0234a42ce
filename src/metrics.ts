import { Counter, Registry } from 'prom-client'

/**
 * What is counted, in Prometheus's terms. Kept for as long as the process lives, whatever configuration is in force. Every label is one
 * of a few known values.
 */
export interface Metrics {
  readonly registry: Registry
  readonly issued: Counter<'contract'>
  readonly redeemed: Counter<'contract'>
  readonly checked: Counter<'contract'>
  readonly introspected: Counter<'contract'>
  readonly revoked: Counter<'contract'>
  readonly refused: Counter<'contract' | 'reason'>
  /** By the place of the secret in its list: what is counted no more can be removed. */
  readonly secretsUsed: Counter<'holder' | 'slot'>
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name: `trimint_${name}_total`, help, labelNames, registers: [registry] })
  return {
    registry,
    issued: counter('tokens_issued', 'Tokens issued.', ['contract']),
    redeemed: counter('tokens_redeemed', 'Tokens redeemed.', ['contract']),
    checked: counter('tokens_checked', 'Tokens that a gateway check found good.', ['contract']),
    introspected: counter('tokens_introspected', 'Tokens that introspection found good.', ['contract']),
    revoked: counter('tokens_revoked', 'Tokens revoked over HTTP.', ['contract']),
    refused: counter('requests_refused', 'Requests refused, by the reasons of docs/audit.md.', ['contract', 'reason']),
    secretsUsed: counter('secrets_used', 'Right secrets, by their place in `secrets`, from 0.', ['holder', 'slot']),
  }
}
