import closeWithGrace from 'close-with-grace'
import pino from 'pino'
import { developmentBanner } from './banner.ts'
import { readEnvironment } from './config/environment.ts'
import { type Fault, formatFault } from './config/fault.ts'
import { loadConfiguration } from './config/load.ts'
import { createLogger } from './logger.ts'
import { buildServer } from './server.ts'
import { openStores } from './store/open.ts'
import { systemClock, systemRandomness } from './system.ts'

const { environment, faults } = readEnvironment(process.env)
const loaded = loadConfiguration(environment, process.env, systemClock(), systemRandomness)
if ('faults' in loaded) exitWith([...faults, ...loaded.faults])
if (faults.length > 0) exitWith(faults)
const { configuration, file, warnings } = loaded

// Asynchronous: a line that is written at once costs a busy server up to a third of its throughput.
const destination = pino.destination({ fd: process.stdout.fd, sync: false })
const logger = createLogger(environment.LOG_LEVEL, systemClock, destination)

const onStoreError = (error: Error) => logger.warn({ event: 'store.failed', error: error.message })
const stores = await openStores(configuration.store, onStoreError).catch(({ message }: Error) =>
  exitWith([{ file: file ?? 'built-in', path: 'store', message: `cannot be opened: ${message}` }]),
)

const parts = { configuration, clock: systemClock, randomness: systemRandomness, logger, stores }
const app = await buildServer(parts)

closeWithGrace({ delay: environment.DRAIN_TIMEOUT, logger: false }, async ({ signal, err }) => {
  if (err) logger.fatal({ event: 'server.failed', err })
  else logger.info({ event: 'server.closing', signal })
  await app.close()
  await stores.close()
  destination.flushSync()
})

try {
  const url = await app.listen({ host: environment.HOST, port: environment.PORT })
  for (const warning of warnings) logger.warn({ event: 'configuration.warning', warning: formatFault(warning) })
  logger.info({
    event: 'server.listening',
    url,
    configuration: file ?? 'built-in',
    contracts: contractsOf(configuration),
  })
  if (file === undefined) process.stderr.write(developmentBanner(url, configuration))
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  const path = code === 'EADDRINUSE' || code === 'EACCES' ? 'PORT' : 'HOST'
  exitWith([{ file: 'environment', path, message: `cannot listen: ${message}` }])
}

function contractsOf({ bws, idscan, nevisfido }: typeof configuration): string[] {
  return Object.entries({ bws, idscan, nevisfido }).flatMap(([name, section]) => (section ? [name] : []))
}

function exitWith(faults: readonly Fault[]): never {
  process.stderr.write(`trimint cannot start:\n${faults.map((fault) => `  ${formatFault(fault)}\n`).join('')}`)
  process.exit(1)
}
