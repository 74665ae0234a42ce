// @node-oauth/oauth2-server on Fastify: the password grant, with tokens in memory.

import formbody from '@fastify/formbody'
import OAuth2Server from '@node-oauth/oauth2-server'
import Fastify from 'fastify'

/** Limits the memory of tokens, as oidc-provider does. */
const MAX_TOKENS = 1_000
const tokens = new Map()

const server = new OAuth2Server({
  model: {
    getClient: async (id, secret) =>
      id === 'shop' && secret === 'the secret of the shop' ? { id, grants: ['password'] } : undefined,
    getUser: async (username, password) =>
      username === 'anna' && password === 'right-password' ? { username } : undefined,
    saveToken: async (token, client, user) => {
      if (tokens.size >= MAX_TOKENS) tokens.clear()
      tokens.set(token.accessToken, token)
      return { ...token, client, user }
    },
    getAccessToken: async (token) => tokens.get(token),
  },
})

const app = Fastify()
await app.register(formbody)
app.post('/token', async (request, reply) => {
  const response = new OAuth2Server.Response()
  await server.token(
    new OAuth2Server.Request({ ...request, method: 'POST', query: {}, headers: request.headers, body: request.body }),
    response,
  )
  return reply
    .code(response.status ?? 500)
    .headers(response.headers ?? {})
    .send(response.body)
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
