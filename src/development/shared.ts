/** Every process that serves the same port. Without several workers, that is this process alone. */
export interface Peers {
  /**
   * Sends a message to all of them, the sender included, and resolves to their answers. Messages of all senders arrive
   * everywhere in the same order, each after the previous one was answered.
   */
  broadcast(message: unknown): Promise<readonly unknown[]>
  receive(handler: (message: unknown) => Promise<unknown>): void
}

/**
 * State that all processes share. Each process has a copy, and changes it only by commands, which run in every process
 * in the same order. So all copies are equal once a command has been answered.
 */
export interface Shared {
  /**
   * Defines a command. Arguments and results have to survive JSON.
   *
   * @returns a function that runs the command in every process and resolves to the results.
   */
  define<Args, Result>(
    name: string,
    run: (args: Args) => Result | Promise<Result>,
  ): (args: Args) => Promise<[Result, ...Result[]]>
  /** Names state that a process takes over from the others when it starts. */
  keep<State>(name: string, save: () => State, restore: (state: State) => void | Promise<void>): void
  /** Takes over the state of the other processes. Call it once, after every definition. */
  join(): Promise<void>
}

interface Message {
  readonly command: string
  readonly args: unknown
  /** The instance that sent it. */
  readonly from: string
}

interface Answer {
  readonly result?: unknown
  readonly error?: string
}

const JOIN = 'join'

/** @param instance identifies this process among its peers. */
export function createShared(instance: string, peers: Peers = createLonePeer()): Shared {
  const commands = new Map<string, (args: never) => unknown>()
  const kept = new Map<string, { save(): unknown; restore(state: never): void | Promise<void> }>()
  const joined = Promise.withResolvers<void>()

  peers.receive(async (message) => {
    const { command, args, from } = message as Message
    if (command === JOIN) return from === instance ? {} : { result: saveAll() }
    // Commands that follow a start wait until this process has the state that they change.
    await joined.promise
    try {
      return { result: await commands.get(command)?.(args as never) }
    } catch (error) {
      return { error: (error as Error).message }
    }
  })

  function saveAll(): Record<string, unknown> {
    return Object.fromEntries([...kept].map(([name, { save }]) => [name, save()]))
  }

  async function broadcast(command: string, args: unknown): Promise<readonly Answer[]> {
    const answers = await peers.broadcast({ command, args, from: instance } satisfies Message)
    // A process that ended during the command has no answer.
    return answers.filter((answer) => answer !== undefined && answer !== null) as Answer[]
  }

  return {
    define<Args, Result>(name: string, run: (args: Args) => Result | Promise<Result>) {
      commands.set(name, run)
      return async (args: Args) => {
        const answers = await broadcast(name, args)
        const failed = answers.find(({ error }) => error !== undefined)
        if (failed) throw new Error(failed.error)
        return answers.map(({ result }) => result) as [Result, ...Result[]]
      }
    },
    keep(name, save, restore) {
      kept.set(name, { save, restore })
    },
    async join() {
      const answers = await broadcast(JOIN, undefined)
      const state = answers.find(({ result }) => result !== undefined)?.result as Record<string, unknown> | undefined
      for (const [name, { restore }] of kept) if (state) await restore(state[name] as never)
      joined.resolve()
    },
  }
}

function createLonePeer(): Peers {
  let receive: (message: unknown) => Promise<unknown> = async () => undefined
  return {
    broadcast: async (message) => [await receive(message)],
    receive(handler) {
      receive = handler
    },
  }
}
