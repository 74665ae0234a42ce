import type { IdscanConfiguration } from '../../config/schema.ts'
import type { IdscanAccount } from '../../core/idscan/account.ts'

/** The configured accounts. */
export function createIdscanAccounts(configuration: IdscanConfiguration): IdscanAccount[] {
  return configuration.accounts.map((account) => ({ ...account, areas: new Set(account.areas) }))
}
