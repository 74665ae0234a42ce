import { writeFileSync } from 'node:fs'
import { digestId } from '../core/fido/issue.ts'
import type { FidoOperation } from '../core/fido/operation.ts'
import { environmentOf, formatIssues, loadAsServer } from './configuration.ts'
import { CommandError, type CommandIo, writeOrExplain } from './io.ts'
import { withStores } from './store.ts'

export interface QrOptions {
  readonly operation?: FidoOperation
  readonly url?: string
  readonly link?: string
  readonly png?: string
}

/** Prints the QR code that an app scans to redeem a token, and its content. */
export async function printQrCode(io: CommandIo, token: string, options: QrOptions): Promise<void> {
  const { createDeepLink, createPayload } = await import('../development/dispatch/payload.ts')
  const { renderForTerminal, renderPng } = await import('../development/dispatch/qr-code.ts')
  const operation = options.operation ?? (await operationOf(io, token))
  const payload = createPayload({ token, operation, url: options.url ?? publicUrlOf(io) })
  const content = options.link === undefined ? payload : createDeepLink(options.link, payload)
  const { png } = options
  if (png === undefined) io.stdout.write(`${renderForTerminal(content)}\n`)
  else writeOrExplain(png, () => writeFileSync(png, renderPng(content)))
  io.stdout.write(`${content}\n`)
}

function publicUrlOf(io: CommandIo): string {
  const loaded = loadAsServer(io, environmentOf(io))
  if ('issues' in loaded) throw new CommandError(formatIssues(loaded.issues))
  return loaded.configuration.publicUrl
}

/** Looks the operation of a token up in the store. */
async function operationOf(io: CommandIo, token: string): Promise<FidoOperation> {
  const record = await withStores(io, ({ tokens }) => tokens.findByToken(digestId(token), io.clock()))
  if (record) return record.operation
  throw new CommandError('unknown token; expected a token from the store of this configuration, or --operation')
}
