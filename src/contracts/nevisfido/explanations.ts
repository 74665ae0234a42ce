import { type FidoOperation, UAF_OPERATIONS } from '../../core/fido/operation.ts'
import { listNames } from '../../http/explain-credentials.ts'

/** Says what is wrong with the op or the context of a request to create a token. */
export function explainContents(operation: FidoOperation, op: string, policies: ReadonlySet<string>): string {
  const expected = UAF_OPERATIONS[operation]
  if (op !== expected) return `the op is ${op}; the path is for ${operation}, whose op is ${expected}`
  const needsUser = operation === 'authentication' ? '' : ', with a username'
  return `the context has to be JSON text of an object${needsUser}, a policy that exists (there ${listNames([...policies])}), and a valid transaction`
}

/** Says why a token cannot be redeemed. */
export const REDEMPTION_EXPLANATIONS = {
  unknown: () => 'no token with this digest was issued here within its lifetime and one hour more',
  spent: () => 'the token was redeemed or revoked before; each token can be redeemed once',
  premature: () => 'the token was created in the future of this process: the clocks of two replicas differ',
  expired: () => 'the token was not redeemed within nevisfido.tokenLifetime',
  misdirected: (operation: FidoOperation) => `the token was created for another operation than ${operation}`,
} as const satisfies Readonly<Record<string, (operation: FidoOperation) => string>>

export function explainMediaType(header: string, given: string | undefined, expected: string): string {
  return `${header} is ${given ?? 'missing'}; expected ${expected}`
}
