/** Returns a UAF metadata statement (FIDO metadata statements 1.1) of a model that signs with ECDSA on P-256. */
export function createStatement(changes: Readonly<Record<string, unknown>> = {}) {
  return {
    aaid: 'FFFF#0001',
    description: 'A model for tests',
    authenticatorVersion: 1,
    upv: [{ major: 1, minor: 1 }],
    assertionScheme: 'UAFV1TLV',
    authenticationAlgorithm: 1,
    publicKeyAlgAndEncoding: 0x100,
    attestationTypes: [ATTESTATION_TYPE.SURROGATE],
    userVerificationDetails: [[{ userVerification: 2 }]],
    keyProtection: 2,
    matcherProtection: 2,
    attachmentHint: 1,
    isSecondFactorOnly: false,
    tcDisplay: 1,
    tcDisplayContentType: 'text/plain',
    attestationRootCertificates: [],
    ...changes,
  }
}

/** FIDO UAF registry of predefined values 1.1, section 5.2. */
export const ATTESTATION_TYPE = { FULL: 0x3e07, SURROGATE: 0x3e08 } as const
