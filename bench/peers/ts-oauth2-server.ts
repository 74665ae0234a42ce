// @jmondi/oauth2-server on Fastify: the password grant, which signs HS256 and keeps tokens in memory.

import { randomBytes } from 'node:crypto'
import formbody from '@fastify/formbody'
import { AuthorizationServer, DateInterval, type OAuthClient, type OAuthToken } from '@jmondi/oauth2-server'
import { handleFastifyReply, requestFromFastify } from '@jmondi/oauth2-server/fastify'
import Fastify from 'fastify'

/** Limits the memory of tokens, as oidc-provider does. */
const MAX_TOKENS = 1_000
const tokens = new Map<string, OAuthToken>()

const shop: OAuthClient = { id: 'shop', name: 'Shop', redirectUris: [], allowedGrants: ['password'], scopes: [] }

const server = new AuthorizationServer(
  {
    getByIdentifier: async () => shop,
    isClientValid: async (_grant, { id }, secret) => id === 'shop' && secret === 'the secret of the shop',
  },
  {
    issueToken: async (client, scopes, user) => ({
      accessToken: randomBytes(32).toString('base64url'),
      accessTokenExpiresAt: new Date(Date.now() + 600_000),
      client,
      scopes,
      user: user ?? null,
    }),
    issueRefreshToken: async (token) => token,
    async persist(token) {
      if (tokens.size >= MAX_TOKENS) tokens.clear()
      tokens.set(token.accessToken, token)
    },
    async revoke({ accessToken }) {
      tokens.delete(accessToken)
    },
    isRefreshTokenRevoked: async () => false,
    getByRefreshToken: async () => Promise.reject(new Error('no refresh tokens')),
  },
  { getAllByIdentifiers: async () => [], finalize: async (scopes) => scopes },
  randomBytes(32).toString('base64url'),
)
const userRepository = {
  getUserByCredentials: async (id: string | number, password?: string) =>
    id === 'anna' && password === 'right-password' ? { id } : undefined,
}
server.enableGrantType({ grant: 'password', userRepository }, new DateInterval('10m'))

const app = Fastify()
await app.register(formbody)
app.post('/token', async (request, reply) =>
  handleFastifyReply(reply, await server.respondToAccessTokenRequest(requestFromFastify(request))),
)
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
