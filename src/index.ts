import './node-version.ts'
import type { Trimint, TrimintOptions } from './app/trimint.ts'

export { StartError } from './app/start-error.ts'
export type { CloseOptions, Trimint, TrimintOptions } from './app/trimint.ts'

/**
 * Starts Trimint in this process, for tests and for services that embed it. Several can run independently: each has its
 * own port and its own store, and neither changes `process`.
 *
 * @example <caption>A test: the demo on a free port, silent, with a store in memory.</caption>
 * await using trimint = await startTrimint()
 * const credentials = Buffer.from('demo-app:demo-secret').toString('base64')
 * const reply = await fetch(`${trimint.url}/token?id=demo-app&bcid=bws.112.12345`, {
 *   headers: { authorization: `Basic ${credentials}` },
 * })
 * const token = await reply.text()
 *
 * @example <caption>With a configuration file.</caption>
 * const trimint = await startTrimint({ configFile: 'trimint.yaml', variables: process.env, port: 8080 })
 * process.once('SIGTERM', () => trimint.close())
 *
 * @throws StartError for an unusable configuration, a store that cannot be opened, or a port that cannot be listened
 *   on.
 */
export async function startTrimint(options: TrimintOptions = {}): Promise<Trimint> {
  // Loaded with the first start: a program that imports this package may never start it.
  const { startTrimint: start } = await import('./app/start-trimint.ts')
  return start(options)
}
