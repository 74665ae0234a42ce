import type { FastifyInstance } from 'fastify'
import { Refusal } from './refusal.ts'

/** Refuses all other methods, in a hook that runs before credentials and body are read. */
export function refuseOtherMethods(app: FastifyInstance, url: string, methods: readonly string[]): void {
  const others = app.supportedMethods.filter((method) => !methods.includes(method))
  app.route({ method: others, url, exposeHeadRoute: false, onRequest: refuse, handler: refuse })
}

async function refuse(): Promise<never> {
  throw new Refusal('method_not_allowed')
}
