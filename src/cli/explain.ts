import { REASONS } from '../observability/reasons.ts'
import { askServer } from './ask-server.ts'
import { CommandError, type CommandIo } from './io.ts'

/** Prints what a reason of the audit log means, or why the running server refused a request. */
export async function explain(io: CommandIo, subject: string): Promise<void> {
  const words = Object.entries(REASONS).find(([reason]) => reason === subject)?.[1]
  io.stdout.write(`${words ? `${words.meaning}\n${words.action}` : await explainRequest(io, subject)}\n`)
}

async function explainRequest(io: CommandIo, requestId: string): Promise<string> {
  const path = `/_trimint/requests/${encodeURIComponent(requestId)}`
  const { status, body } = await askServer(io, path, (code) => [200, 401, 403, 404].includes(code))
  if (status !== 200) throw new CommandError(FAILURES[status] ?? String(status))
  const { outcome, reason, explanation } = JSON.parse(body) as Readonly<Record<string, string | undefined>>
  return reason === undefined ? `not refused: ${outcome}` : `${reason}: ${explanation}`
}

const FAILURES: Readonly<Record<number, string>> = {
  401: 'the server asks for control.token; request /_trimint/requests/REQUEST-ID with Authorization: Bearer',
  403: 'the server refuses this address; expected a loopback address',
  404: 'no such reason and no such request; expected a reason of docs/audit.md, or a request id in the journal of a server with control: true',
}
