/** What a software authenticator cannot do: no key, an unexpected reply, or a misbehaviour that does not apply. */
export class AuthenticatorError extends Error {}
