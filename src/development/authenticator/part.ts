import type { FastifyInstance } from 'fastify'
import { available } from '../../core/availability.ts'
import { ControlError } from '../control/errors.ts'
import { parseInput, serveMethods } from '../control/routes.ts'
import type { Part, PartDependencies } from '../part.ts'
import { type Authenticator, createAuthenticator, type Outcome } from './authenticator.ts'
import { AuthenticatorError } from './authenticator-error.ts'
import { authenticatorAction, performAction, viewKey } from './control.ts'
import { createKeyRing, type UafKey } from './key.ts'

export interface AuthenticatorPart extends Part {
  readonly api: Authenticator
}

const MAX_LISTED = 100

/**
 * Serves a software authenticator whose keys every process has.
 *
 * @param advance moves Trimint's clock, so that a late answer need not wait.
 */
export function createAuthenticatorPart(
  { shared, randomness, running }: PartDependencies,
  advance: (milliseconds: number) => Promise<unknown>,
): AuthenticatorPart {
  const local = createKeyRing()
  const put = shared.define('authenticator.put', (key: UafKey) => local.put(key))
  const remove = shared.define('authenticator.remove', (keys: readonly UafKey[]) => local.remove(keys))
  shared.keep('authenticator', local.all, async (keys) => {
    for (const key of keys) await local.put(key)
  })

  const api = createAuthenticator({
    url: () => running().url(),
    randomness,
    keyRing: {
      all: local.all,
      async put(key) {
        await put(key)
      },
      async remove(keys) {
        await remove(keys)
      },
    },
    async wait(milliseconds) {
      await advance(milliseconds)
    },
  })

  async function perform(body: unknown): Promise<Outcome> {
    const action = parseInput(authenticatorAction, body)
    return performAction(api, action).catch((error: unknown) => {
      throw error instanceof AuthenticatorError ? new ControlError(409, 'conflict', error.message) : error
    })
  }

  const forget = () => remove(local.all())

  /** Deletes the keys of all users from the store. */
  async function deleteCredentials(): Promise<void> {
    const { credentials } = running().stores
    for (;;) {
      const some = await available(credentials.list(MAX_LISTED))
      if (some.length === 0) return
      await available(Promise.all(some.map((credential) => credentials.remove(credential))))
    }
  }

  return {
    api,
    resets: { authenticator: forget, credentials: deleteCredentials },
    routes(app: FastifyInstance) {
      serveMethods(app, '/authenticator', {
        GET: async () => ({ keys: local.all().map(viewKey) }),
        POST: async ({ body }) => perform(body),
        async DELETE(_request, reply) {
          await forget()
          return reply.code(204).send()
        },
      })
    },
  }
}
