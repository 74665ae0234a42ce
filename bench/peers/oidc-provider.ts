// oidc-provider with a password grant and its in-memory store; with the argument `jwt` it signs tokens, which are opaque otherwise.

import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const provider = new Provider('http://127.0.0.1', {
  clients: [
    {
      client_id: 'shop',
      client_secret: 'the secret of the shop',
      grant_types: ['password'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  cookies: { keys: ['cookie key'] },
})

const key = randomBytes(32)
const jwt = {
  scope: 'scanning',
  audience: 'https://api.example.com',
  accessTokenTTL: 600,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'HS256', key } },
}

provider.registerGrantType(
  'password',
  async (context) => {
    const { client, params } = context.oidc
    if (params.username !== 'anna' || params.password !== 'right-password') throw new Error('a wrong password')
    const token = new provider.AccessToken({ accountId: 'anna', client, gty: 'password', scope: 'scanning' })
    if (process.argv.includes('jwt')) token.resourceServer = new provider.ResourceServer(jwt.audience, jwt)
    context.body = { access_token: await token.save(), expires_in: token.expiration, token_type: token.tokenType }
  },
  ['username', 'password'],
)

createServer(provider.callback()).listen(Number(process.env.PORT), '127.0.0.1')
