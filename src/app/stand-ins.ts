import type { Configuration } from '../config/schema.ts'
import { createBwsCheck } from '../contracts/bws/check.ts'
import * as bwsErrors from '../contracts/bws/errors.ts'
import { createIdscanCheck } from '../contracts/idscan/check.ts'
import * as idscanErrors from '../contracts/idscan/errors.ts'
import type { Gates } from '../development/stand-ins/gates.ts'
import { createErrorHandler } from '../http/error-handler.ts'
import { toBwsApps } from './contract-options.ts'
import type { ContractDependencies } from './contracts.ts'

/** Returns what the stand-ins need of the contracts: they check tokens and refuse requests as the contracts do. */
export function createGates(configuration: Configuration, dependencies: ContractDependencies): Gates {
  return { bws: createBwsGate(configuration, dependencies), idscan: createIdscanGate(configuration, dependencies) }
}

function createBwsGate({ bws, publicUrl }: Configuration, dependencies: ContractDependencies): Gates['bws'] {
  const { issuer, guard, audit } = dependencies
  const tokens = dependencies.tokens.bws
  if (!bws || !tokens || !bws.standIns) return undefined
  return {
    apps: toBwsApps(bws, publicUrl),
    tokens,
    check: createBwsCheck({ tokens, clock: issuer.clock, audit }),
    guard,
    clock: issuer.clock,
    audit,
    refuseToken: createErrorHandler(bwsErrors.accessRefusals, audit),
    refuseApp: createErrorHandler(bwsErrors.tokenRefusals, audit),
  }
}

function createIdscanGate({ idscan }: Configuration, dependencies: ContractDependencies): Gates['idscan'] {
  const { issuer, audit } = dependencies
  const tokens = dependencies.tokens.idscan
  if (!idscan || !tokens || !idscan.standIns) return undefined
  return {
    check: createIdscanCheck({ tokens, clock: issuer.clock, audit }),
    refuseToken: createErrorHandler(idscanErrors.accessRefusals, audit),
    fixtures: idscan.fixtures,
  }
}
