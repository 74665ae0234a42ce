#!/usr/bin/env node
import { readServeOptions, type ServeVariables } from './cli/serve-options.ts'

/** Serves. Each option has the effect of an environment variable, for this process and its workers. */
async function serve(variables: ServeVariables): Promise<void> {
  Object.assign(process.env, variables)
  // Loaded here, because it handles signals: they end every other command.
  const { startServing } = await import('./process/start.ts')
  await startServing()
}

const words = process.argv.slice(2)
const variables = readServeOptions(words)
if (variables) await serve(variables)
else {
  const { runProcess } = await import('./cli/run-process.ts')
  await runProcess(words, serve)
}
