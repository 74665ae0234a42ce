// A process of its own that opens a token store and creates the records that it is sent. Answers `ready`, then for each record
// `created`, or why not.

import type { TokenRecord } from '../../src/core/ports/token-store.ts'
import { openStore } from './stores.ts'

const answer = (text: string): void => {
  process.send?.(text)
}

try {
  const store = await openStore('tokens', process.argv[2] ?? '')
  process.on('message', (record: TokenRecord) => {
    store.create(record).then(
      () => answer('created'),
      (error: Error) => answer(error.message),
    )
  })
  answer('ready')
} catch (error) {
  answer((error as Error).message)
  process.disconnect?.()
}
