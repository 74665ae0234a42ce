// The entry of a process that opens stores and performs the calls that its parent sends. It first sends `ready`, or
// why it could not open them. After a fatal error of the store it ends with exit code 1, as the server does.

import { openStores } from '../../src/store/open-stores.ts'

export interface StoreCall {
  readonly id: number
  readonly store: 'tokens' | 'revocations' | 'uses'
  readonly operation: string
  readonly values: readonly unknown[]
}

export interface StoreAnswer {
  readonly id: number
  readonly error: string | undefined
}

type Operations = Readonly<Record<string, (...values: readonly unknown[]) => Promise<unknown>>>

const send = (message: string | StoreAnswer, sent: () => void = () => undefined): void => {
  process.send?.(message, sent)
}

try {
  const onFatal = ({ message }: Error) => send(`fatal: ${message}`, () => process.exit(1))
  const stores = await openStores(process.argv[2] ?? '', { onFatal })
  process.on('message', ({ id, store, operation, values }: StoreCall) => {
    const operations = stores[store] as unknown as Operations
    operations[operation]?.(...values).then(
      () => send({ id, error: undefined }),
      ({ message }: Error) => send({ id, error: message }),
    )
  })
  process.once('disconnect', () => process.exit())
  send('ready')
} catch (error) {
  send((error as Error).message, () => process.disconnect?.())
}
