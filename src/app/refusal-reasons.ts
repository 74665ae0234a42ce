import * as bws from '../contracts/bws/errors.ts'
import * as idscan from '../contracts/idscan/errors.ts'
import { statusRefusals } from '../contracts/nevisfido/errors.ts'
import { uafRefusals } from '../contracts/nevisfido/uaf/errors.ts'
import { serviceRefusals } from '../endpoints/errors.ts'
import type { RefusalReason } from '../http/refusal.ts'
import type { Decision } from '../observability/audit-log.ts'

/** The reasons for which each contract has a reply, for the control API. */
export const REASONS_BY_CONTRACT: Readonly<Record<Decision['contract'], readonly RefusalReason[]>> = {
  bws: reasonsIn(bws.tokenRefusals, bws.accessRefusals),
  idscan: reasonsIn(idscan.tokenRefusals, idscan.accessRefusals),
  nevisfido: reasonsIn(uafRefusals, statusRefusals),
  service: reasonsIn(serviceRefusals),
}

function reasonsIn(...tables: readonly { readonly replies: object }[]): RefusalReason[] {
  const reasons = tables.flatMap(({ replies }) => Object.keys(replies) as RefusalReason[])
  return [...new Set(reasons)]
}
