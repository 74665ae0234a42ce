import type { FastifyPluginAsync } from 'fastify'
import { createErrorHandler } from '../../../http/error-handler.ts'
import { refuseOtherMethods } from '../../../http/other-methods.ts'
import type { NevisfidoOptions } from '../options.ts'
import { setJson } from '../service.ts'
import { uafRefusals } from './errors.ts'
import type { FacetsReply } from './schema.ts'

export const FACETS_TYPE = 'application/fido.trusted-apps+json'

/** Lists the apps and web origins that may use the AppID, for FIDO clients (U3). */
export const facetsService: FastifyPluginAsync<NevisfidoOptions> = async (app, { facets, audit }) => {
  const list: FacetsReply = { trustedFacets: [{ version: { major: 1, minor: 1 }, ids: [...facets] }] }
  app.setErrorHandler(createErrorHandler({ ...uafRefusals, allow: 'GET' }, audit))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async () => undefined)

  for (const url of ['/nevisfido/uaf/1.1/facets', '/nevisfido/uaf/1.1/facets/']) {
    app.route({
      method: 'GET',
      url,
      exposeHeadRoute: false,
      async handler(_request, reply) {
        setJson(reply, FACETS_TYPE)
        return list
      },
    })
    refuseOtherMethods(app, url, ['GET'])
  }
}
