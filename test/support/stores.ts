import { openStores, type Stores } from '../../src/store/open-stores.ts'

type Name = Exclude<keyof Stores, 'close'>

/** One of the stores that a name opens; closing it closes them all. */
export async function openStore<Kind extends Name>(
  kind: Kind,
  store: string,
  onError: (error: Error) => void = () => undefined,
): Promise<Stores[Kind]> {
  const stores = await openStores(store, { onError, onFatal: onError })
  return { ...stores[kind], close: () => stores.close() }
}
