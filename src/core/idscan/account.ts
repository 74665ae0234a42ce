export const IDSCAN_AREAS = ['scanning', 'investigation'] as const
export type IdscanArea = (typeof IDSCAN_AREAS)[number]

/** A person who logs in with a password, and the claims of their tokens. */
export interface IdscanAccount {
  readonly username: string
  /** argon2id in PHC string format; outside production also `plain:` followed by the password. */
  readonly password: string
  readonly disabled: boolean
  readonly areas: ReadonlySet<IdscanArea>
  readonly fullName?: string | undefined
  readonly role?: string | undefined
  readonly memberOf: readonly string[]
  readonly tenant?: string | undefined
  readonly branchCode?: string | undefined
}
