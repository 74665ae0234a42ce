// What failing logins do to other callers: the latency of BWS tokens at a low rate while 64 accounts fail without pause.
// Processes are not bound to cores: argon2 runs in threads that a server on two cores would spread.

import { join } from 'node:path'
import { accountNames, createAccounts, startTrimintProcess, WRONG_PASSWORD } from '../candidates/trimint.ts'
import { BWS, loginRequest } from '../candidates/workloads.ts'
import type { BenchEnvironment } from '../environment.ts'
import { startGenerator } from '../load/client.ts'
import { TOKEN_PLACE } from '../load/http.ts'
import { measureStretch } from '../measure.ts'
import { printTable } from '../print-table.ts'

const ACCOUNTS = 64
/** Requests for BWS tokens a second. */
const RATE = 200
/** How much longer than the measured requests the storm lasts. */
const STORM_MARGIN_S = 2

export interface LoginStormOptions {
  readonly seconds: number
  readonly rounds: number
  readonly say: (line: string) => void
}

export async function runLoginStorm(
  environment: BenchEnvironment,
  { seconds, rounds, say }: LoginStormOptions,
): Promise<void> {
  const folder = join(environment.folder, 'login-storm')
  await using storm = startGenerator({ core: environment.cores.generator, folder: join(folder, 'generator') })
  const { port, process } = await startTrimintProcess({
    core: environment.cores.server,
    folder,
    store: `sqlite:${join(folder, 'trimint.db')}`,
    // The guard would block the accounts after ten failures.
    sections: { guard: false, idscan: { accounts: await createAccounts(ACCOUNTS) } },
  })
  await using running = process
  const tokens = { port, process: running, requests: BWS, sharesGeneratorCore: true }
  const logins = {
    ...tokens,
    requests: {
      request: loginRequest(TOKEN_PLACE, WRONG_PASSWORD),
      values: accountNames(ACCOUNTS),
      uses: 1e9,
      expect: { status: 400, body: '"invalid_grant"' },
    },
  }
  const measureTokens = () => measureStretch(environment.generator, tokens, { seconds, rate: RATE })
  await measureTokens()
  const rows: string[][] = []
  for (let round = 0; round < rounds; round++) {
    say(`login storm, round ${round + 1} of ${rounds}`)
    const quiet = await measureTokens()
    const [failing, loaded] = await Promise.all([
      measureStretch(storm, logins, { seconds: seconds + STORM_MARGIN_S, connections: ACCOUNTS }),
      measureTokens(),
    ])
    rows.push(
      ['quiet', ...[quiet.latencyMs.p50, quiet.latencyMs.p99].map((value) => value.toFixed(1)), ''],
      ['storm', ...[loaded.latencyMs.p50, loaded.latencyMs.p99, failing.rate].map((value) => value.toFixed(1))],
    )
  }
  printTable([`BWS token, ${RATE}/s, ${ACCOUNTS} failing accounts`, 'p50 ms', 'p99 ms', 'failed logins/s'], rows)
}
