// Starts the console and keeps it current.

import { call } from './api.js'
import { refreshClock, startClock, tick } from './clock.js'
import { attempt, find } from './dom.js'
import { refreshFaults, startFaults } from './faults.js'
import { startIssuing } from './issue.js'
import { clearJournal, refreshChart, startJournal } from './journal.js'
import { refreshGuard, refreshSessions } from './sessions.js'
import { refreshToken, startTokens } from './token.js'

const TICK_MS = 500
const REFRESH_MS = 2_000
const AFTER_REQUESTS_MS = 100

/** Reads what other programs may have changed. */
async function refresh() {
  await Promise.all([refreshClock(), refreshFaults(), refreshSessions(), refreshGuard(), refreshToken()])
}

let isRefreshDue = false

/** Refreshes once after requests that arrive together. */
function refreshSoon() {
  if (isRefreshDue) return
  isRefreshDue = true
  setTimeout(() => {
    isRefreshDue = false
    void refresh().catch(ignoreOutage)
  }, AFTER_REQUESTS_MS)
}

/** The journal shows that the server is away, and the next refresh tries again. */
function ignoreOutage() {}

async function start() {
  await refreshClock()
  startClock(refresh)
  startTokens()
  startJournal(refreshSoon)
  find('reset-all').addEventListener('click', () =>
    attempt(async () => {
      await call('POST', 'reset')
      clearJournal()
      await refresh()
    }),
  )
  setInterval(() => {
    tick()
    refreshChart()
  }, TICK_MS)
  setInterval(() => {
    if (document.hidden) return
    void refresh().catch(ignoreOutage)
  }, REFRESH_MS)
  await Promise.all([startFaults(), startIssuing(), refresh()])
}

void attempt(start)
