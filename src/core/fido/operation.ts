/** The operations that a token can be created for, spelled as in the vendor's path. */
export const FIDO_OPERATIONS = ['registration', 'authentication', 'deregistration'] as const
export type FidoOperation = (typeof FIDO_OPERATIONS)[number]

/** The same operations as a UAF request's header spells them (FIDO UAF 1.1 protocol, section 3.1.2). */
export const UAF_OPERATIONS = { registration: 'Reg', authentication: 'Auth', deregistration: 'Dereg' } as const
