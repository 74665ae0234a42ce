// @jmondi/oauth2-server on Fastify: the password grant, tokens kept in memory. A program of its own.

import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import formbody from '@fastify/formbody'
import { AuthorizationServer, DateInterval } from '@jmondi/oauth2-server'
import { handleFastifyError, handleFastifyReply, requestFromFastify } from '@jmondi/oauth2-server/fastify'
import Fastify from 'fastify'
import { announce } from './announce.ts'

/** So many are remembered, as other peers do. */
const MOST = 1_000
const tokens = new Map()

const client = {
  id: 'shop',
  name: 'Shop',
  secret: 'the secret of the shop',
  redirectUris: [],
  allowedGrants: ['password'],
  scopes: [],
}

const server = new AuthorizationServer(
  {
    getByIdentifier: async () => client,
    isClientValid: async (_grant, { id }, secret) => id === 'shop' && secret === 'the secret of the shop',
  },
  {
    issueToken: async () => ({
      accessToken: randomUUID(),
      accessTokenExpiresAt: new DateInterval('10m').getEndDate(),
      client,
      user: { id: 'anna' },
      scopes: [],
    }),
    issueRefreshToken: async (token) => token,
    persist: async (token) => {
      if (tokens.size >= MOST) tokens.clear()
      tokens.set(token.accessToken, token)
    },
    revoke: async () => undefined,
    isRefreshTokenRevoked: async () => false,
    getByRefreshToken: async () => undefined,
  },
  { getAllByIdentifiers: async () => [], finalize: async (scopes) => scopes },
  'a secret of thirty-two characters',
)
server.enableGrantType({
  grant: 'password',
  userRepository: {
    getUserByCredentials: async (username, password) =>
      username === 'anna' && password === 'right-password' ? { id: username } : undefined,
  },
})

const app = Fastify()
await app.register(formbody)
app.post('/token', async (request, reply) => {
  try {
    handleFastifyReply(reply, await server.respondToAccessTokenRequest(requestFromFastify(request)))
  } catch (error) {
    handleFastifyError(error, reply)
  }
  return reply
})
await app.listen({ host: '127.0.0.1', port: 0 })
announce((app.server.address() as AddressInfo).port)
