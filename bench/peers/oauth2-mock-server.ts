// oauth2-mock-server, which signs ES256: it has no HS256.

import { OAuth2Server } from 'oauth2-mock-server'

const server = new OAuth2Server()
await server.issuer.keys.generate('ES256')
await server.start(Number(process.env.PORT), '127.0.0.1')
