import type { WorkerHandle } from './worker-handle.ts'

/**
 * Passes messages of workers on to all of them, one message at a time: every worker gets the messages of all workers in
 * the same order. A worker takes part from its first message on.
 */
export function createBroadcasts(): (from: WorkerHandle, id: number, message: unknown) => void {
  const members = new Set<WorkerHandle>()
  let passing: Promise<void> = Promise.resolve()

  async function pass(from: WorkerHandle, id: number, message: unknown): Promise<void> {
    if (!members.has(from)) {
      members.add(from)
      void from.exited.then(() => members.delete(from))
    }
    const answers = await Promise.all([...members].map((member) => member.deliver(message)))
    from.send({ type: 'answers', id, answers })
  }

  return (from, id, message) => {
    passing = passing.then(() => pass(from, id, message))
  }
}
