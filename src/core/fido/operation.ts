/** What a token is for, in the vendor's spelling of the path. */
export const FIDO_OPERATIONS = ['registration', 'authentication', 'deregistration'] as const
export type FidoOperation = (typeof FIDO_OPERATIONS)[number]

/** FIDO UAF 1.1 protocol, section 3.1.2: the same in a request's header. */
export const UAF_OPERATIONS = { registration: 'Reg', authentication: 'Auth', deregistration: 'Dereg' } as const
