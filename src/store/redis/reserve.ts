/**
 * A key whose only purpose is the memory it occupies. Redis without free memory (`maxmemory`) rejects every write that
 * could need some. Deleting this key makes room for revocations, tries and other writes that reject tokens. Until the
 * key exists again, no token is created: tokens would fill that room.
 */
export const RESERVE_KEY = 'trimint:reserve'

/** Room for some ten thousand revocations. */
export const RESERVE_BYTES = 4 * 1024 * 1024

interface Deleting {
  del(key: string): Promise<number>
}

/** Runs one command, and once more with the reserve where Redis has no memory for it. */
export async function withReserve<Reply>(client: Deleting, command: () => Promise<Reply>): Promise<Reply> {
  try {
    return await command()
  } catch (error) {
    // A command that Redis rejects for lack of memory has changed nothing.
    if (!(error instanceof Error && error.message.startsWith('OOM')) || !(await client.del(RESERVE_KEY))) throw error
    return command()
  }
}
