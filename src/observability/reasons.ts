import type { Explain, RefusalReason } from '../http/refusal.ts'

interface Words {
  readonly meaning: string
  readonly action: string
}

/** The words for each reason of a refusal. docs/audit.md is generated from them, and `trimint explain` prints them. */
export const REASONS: Readonly<Record<RefusalReason, Words>> = {
  method_not_allowed: {
    meaning: 'the contract does not have this method',
    action: 'check the client',
  },
  bad_parameter: {
    meaning: 'a parameter is missing, invalid or repeated',
    action: '`parameters` names them; the reply lists the allowed values',
  },
  bad_body: {
    meaning: 'the body is incomplete or does not match the contract',
    action: 'check the client',
  },
  body_too_large: {
    meaning: 'the body exceeds 64 KiB',
    action: 'check the client',
  },
  unsupported_grant_type: {
    meaning: 'the body is not a form with exactly one `grant_type=password`',
    action: "check the client's body and Content-Type",
  },
  unsupported_media_type: {
    meaning: 'nevisFIDO: wrong Content-Type',
    action: 'correct the client, or set `negotiation: lenient`',
  },
  not_acceptable: {
    meaning: 'nevisFIDO: wrong Accept',
    action: 'correct the client, or set `negotiation: lenient`',
  },
  bad_contents: {
    meaning:
      'nevisFIDO: `op` of another operation, an invalid context, policy or transaction, or a large context without credentials',
    action: 'check the client',
  },
  missing_authorization: {
    meaning: 'the request has no credentials',
    action: 'send credentials; normal for clients that wait for the 401 first',
  },
  malformed_authorization: {
    meaning: 'the `Authorization` header is malformed, or has another scheme than HTTP Basic (checks: `Bearer`)',
    action: 'check how the client encodes credentials',
  },
  unknown_app: {
    meaning: 'no such App-ID',
    action: 'look for a typing error, or the secret in the id field',
  },
  unknown_account: {
    meaning: 'no such account, or it was removed; `guard` counts failures for it like for an existing one',
    action: 'look for a typing error, or the secret in the id field',
  },
  unknown_client: {
    meaning: 'no such nevisFIDO client',
    action: 'look for a typing error, or the secret in the id field',
  },
  unknown_resource_server: {
    meaning: 'no such resource server',
    action: 'look for a typing error, or the secret in the id field',
  },
  bad_secret: {
    meaning: 'the id exists; the secret is wrong or past its `notAfter`',
    action: 'compare with `trimint hash-secret --stdin`',
  },
  bad_password: {
    meaning: 'the account exists; the password is wrong',
    action: 'look for a forgotten password, or guessing',
  },
  bad_bearer: {
    meaning:
      'the JWT fails verification: issuer, audience, key (unknown, malformed, or RSA under 2,048 bits), algorithm or time',
    action: 'decode it and compare with `bearer` in the configuration',
  },
  account_disabled: {
    meaning: 'the account has `disabled: true`; the password or token was valid',
    action: "check the account's configuration",
  },
  blocked: {
    meaning: '`guard` blocks this account or address',
    action: 'look at `trimint guard list`; `trimint guard lift` ends the block',
  },
  foreign_id: {
    meaning: "`id` is not the caller's App-ID",
    action: 'use the same id in the query and the credentials',
  },
  task_not_allowed: {
    meaning: "the app's `tasks` do not include this task",
    action: "change the app's configuration",
  },
  bcid_not_allowed: {
    meaning: "the app's `bcids` do not include this storage and partition",
    action: "change the app's configuration",
  },
  area_not_allowed: {
    meaning: "the account's `areas` do not include this area; the password was correct",
    action: "change the account's configuration",
  },
  user_not_allowed: {
    meaning: 'the client may not act for this user',
    action: "change the client's `users`",
  },
  unknown_user: {
    meaning: 'the user is not in the credential repository',
    action: 'add the user to `nevisfido.users`',
  },
  invalid_token: {
    meaning: 'altered, signed with an unknown key, of another contract, or for another `issuer` or `audience`',
    action: '`trimint decode --verify`; look for a key removed too early or a changed `publicUrl`',
  },
  token_not_yet_valid: {
    meaning: '`nbf`, or the creation of a nevisFIDO token, is in the future',
    action: "synchronise the replicas' clocks",
  },
  token_expired: {
    meaning: 'not redeemed or not used in time',
    action: 'raise `tokenLifetime` or `lifetime`, or fix a slow caller',
  },
  token_revoked: {
    meaning: 'revoked alone, or with all tokens of its app, account or user',
    action: 'look for `trimint revoke` or `POST /revoke`',
  },
  token_idle: {
    meaning: 'not used for `idleTimeout`, and `enforceIdleTimeout` is set',
    action: 'log in again',
  },
  token_spent: {
    meaning: 'already redeemed, or revoked',
    action: 'look for repeated requests or a replay',
  },
  unknown_token: {
    meaning: 'never issued here, or expired more than one hour ago',
    action: "look for a session id used as token, or another installation's token",
  },
  wrong_operation: {
    meaning: 'the client redeemed the token, or answered the session, for another operation than its own',
    action: 'check the client',
  },
  unknown_session: {
    meaning: 'no session has this server data: never issued, or ended more than one hour ago',
    action: "look for another installation's request",
  },
  session_ended: {
    meaning: 'the session was answered before, or revoked',
    action: 'look for repeated responses or a replay',
  },
  response_late: {
    meaning: 'the response arrived after `responseLifetime`',
    action: 'raise it, or look for slow clients',
  },
  bad_response_header: {
    meaning: 'UAF version or AppID differ, or an extension is required',
    action: 'check the FIDO client and `appId`',
  },
  bad_final_challenge: {
    meaning: '`fcParams` are malformed, or have another AppID',
    action: 'check the FIDO client',
  },
  unknown_facet: {
    meaning: 'the app is none of `nevisfido.facets`',
    action: 'add its facet id, or look for a foreign app',
  },
  wrong_challenge: {
    meaning: 'the response belongs to another request',
    action: 'look for a replay',
  },
  wrong_challenge_hash: {
    meaning: 'the response belongs to another request',
    action: 'look for a replay',
  },
  no_assertion: {
    meaning: 'the FIDO client gave up; `asmStatusCode` of the status may tell why',
    action: 'ask the user',
  },
  bad_assertion: {
    meaning: 'the assertion is malformed, repeated, or needs an unknown extension',
    action: 'check the authenticator',
  },
  unknown_authenticator: {
    meaning: '`attestation: basic`, and no metadata statement has the AAID',
    action: 'add its statement to `nevisfido.metadata`',
  },
  unknown_key: {
    meaning: 'the key is not registered',
    action: 'the user registers again',
  },
  foreign_key: {
    meaning: 'the key belongs to another user than the session',
    action: 'look for an attack',
  },
  policy_mismatch: {
    meaning: 'the policy does not accept the authenticator, or the user has the key already',
    action: 'compare with `nevisfido.policies`',
  },
  key_rejected: {
    meaning: 'the key has an unacceptable format, or another user has it',
    action: 'check the authenticator',
  },
  too_many_keys: {
    meaning: 'the user would have more than 32 keys; nothing was registered',
    action: 'remove keys that are not used any more: `trimint credentials list --user`, then `remove`',
  },
  algorithm_rejected: {
    meaning: 'the algorithm is unknown, does not fit the key, or is not the registered one',
    action: 'check the authenticator',
  },
  bad_attestation: {
    meaning: 'the attestation is of the wrong kind, or is not verified by the metadata',
    action: 'check `nevisfido.metadata`',
  },
  wrong_transaction: {
    meaning: 'the user confirmed another transaction, or none',
    action: 'look for an attack on the display',
  },
  bad_signature: {
    meaning: "the signature is not the key's",
    action: 'look for an attack',
  },
  counter_not_greater: {
    meaning: 'a replayed assertion, or a copy of the authenticator',
    action: 'remove the key: `trimint credentials remove`',
  },
  several_owners: {
    meaning: 'the keys of one response belong to several users',
    action: 'check the client',
  },
  wrong_task: {
    meaning: 'a valid token for another task',
    action: 'request a token with the matching `task`',
  },
  wrong_area: {
    meaning: 'a valid token for another area',
    action: 'request a token with the matching `area`',
  },
  tries_used_up: {
    meaning: '`maxtries` checks have been counted',
    action: 'request a new token',
  },
  store_unavailable: {
    meaning: 'Trimint cannot determine whether the token is valid',
    action: 'read `cause`',
  },
  no_signing_key: {
    meaning: 'every key of `keys` has expired',
    action: 'add a key: `trimint keys add`',
  },
  overloaded: {
    meaning:
      "too many password checks wait, a limit of `overload` is exceeded, or nevisFIDO's `anonymous` limit is reached (see `cause`)",
    action: 'look for guessing; add cores or replicas; raise the limit',
  },
  internal_error: {
    meaning: 'a defect in Trimint or an unexpected failure',
    action: 'read the line `unexpected error` with the same `requestId`',
  },
}

/** Returns what was wrong and what to change, as two sentences or more. */
export function explainRefusal(reason: RefusalReason, explain?: Explain): string {
  const { meaning, action } = REASONS[reason]
  return `${toSentence(explain?.() ?? meaning)} ${toSentence(action)}`
}

function toSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}
