/**
 * A key whose only purpose is the memory it occupies. Redis without free memory (`maxmemory`) rejects every write that
 * could need some. Deleting this key makes room for revocations, tries and other writes that reject tokens. Until the
 * key exists again, no token is created: tokens would fill that room.
 */
export const RESERVE_KEY = 'trimint:reserve'

/** Room for some ten thousand revocations. */
export const RESERVE_BYTES = 4 * 1024 * 1024

interface Keys {
  exists(key: string): Promise<number>
  setRange(key: string, offset: number, value: string): Promise<number>
  del(key: string): Promise<number>
}

/** Creates the reserve unless it exists. @throws Error where Redis has no memory for it. */
export async function ensureReserve(client: Keys): Promise<void> {
  if ((await client.exists(RESERVE_KEY)) === 0) await client.setRange(RESERVE_KEY, RESERVE_BYTES - 1, '-')
}

/** Runs one command, and once more without the reserve where Redis has no memory for it. */
export async function withReserve<Reply>(client: Keys, command: () => Promise<Reply>): Promise<Reply> {
  try {
    return await command()
  } catch (error) {
    // A command that Redis rejects for lack of memory has changed nothing.
    if (!(error instanceof Error && error.message.startsWith('OOM'))) throw error
    // Sent together: between two round trips, another instance would create the reserve again.
    const [, reply] = await Promise.all([client.del(RESERVE_KEY), command()])
    return reply
  }
}
