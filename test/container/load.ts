import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

// Calls a running Trimint without a pause until SIGTERM. Prints `started` after the first reply, and at the end
// `served=N failed=N`. With --until-closed, each caller stops at the first reply that closes its connection, as a load
// balancer does during a shutdown.
//
//   node test/container/load.ts http://127.0.0.1:8090 [--until-closed]

const CALLERS = 4
const [url = '', mode] = process.argv.slice(2)
const stopsWhenClosed = mode === '--until-closed'

const pool = new Pool(url, { connections: CALLERS, headersTimeout: 20_000, bodyTimeout: 20_000 })
const basic = (secret: string) => `Basic ${Buffer.from(secret).toString('base64')}`
const counts = { served: 0, failed: 0 }
let isStopped = false
process.once('SIGTERM', () => {
  isStopped = true
})

interface Reply {
  readonly body: string
  readonly isLast: boolean
}

async function send(path: string, authorization?: string, body?: object, contentType?: string): Promise<Reply> {
  const reply = await pool.request({
    path,
    method: body ? 'POST' : 'GET',
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      accept: path.includes('/redeem/') ? 'application/fido+uaf' : 'application/json, */*;q=0.5',
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await reply.body.text()
  if (reply.statusCode !== 200) throw new Error(`${path}: ${reply.statusCode} ${text}`)
  return { body: text, isLast: reply.headers.connection === 'close' }
}

const issueBws = () => send('/token?id=demo-app&bcid=bws.112.12345', basic('demo-app:demo-secret'))

function createFido(): Promise<Reply> {
  const body = { context: '{"username":"jeff"}', op: 'Reg' }
  const type = 'application/fido+uaf;charset=UTF-8'
  return send('/nevisfido/token/create/registration', basic('demo-backend:demo-secret'), body, type)
}

async function redeemFido({ body }: Reply): Promise<Reply> {
  const { token } = JSON.parse(body) as { token: string }
  const reply = await send('/nevisfido/token/redeem/registration', undefined, { token }, 'application/json')
  const { statusCode } = JSON.parse(reply.body) as { statusCode: number }
  if (statusCode !== 1200) throw new Error(`redeem: statusCode ${statusCode}`)
  return reply
}

async function call(): Promise<void> {
  let created: Reply | undefined
  for (let turn = 0; !isStopped; turn++) {
    try {
      const reply: Reply = created ? await redeemFido(created) : turn % 2 === 0 ? await issueBws() : await createFido()
      created = created === undefined && turn % 2 === 1 ? reply : undefined
      counts.served += 1
      if (counts.served === 1) process.stdout.write('started\n')
      if (stopsWhenClosed && reply.isLast) return
    } catch (error) {
      created = undefined
      counts.failed += 1
      if (counts.failed <= 5) process.stderr.write(`${String(error)}\n`)
      await sleep(50)
    }
  }
}

await Promise.all(Array.from({ length: CALLERS }, call))
await pool.destroy()
process.stdout.write(`served=${counts.served} failed=${counts.failed}\n`)
