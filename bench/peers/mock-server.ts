// oauth2-mock-server as its users run it: RS256, no password is checked. A program of its own.

import { OAuth2Server } from 'oauth2-mock-server'
import { announce } from './announce.ts'

const server = new OAuth2Server()
await server.issuer.keys.generate('RS256')
await server.start(0, '127.0.0.1')
announce(server.address().port)
