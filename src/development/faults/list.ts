import type { FaultInput, ParsedFault } from './schema.ts'

/** A fault in force, or one that has occurred as often as it should. */
export interface Fault extends ParsedFault {
  readonly id: string
  /** As it was given. */
  readonly input: FaultInput
  met: number
}

/** The faults of one process, the newest first. Every process has the same list. */
export interface FaultList {
  all(): readonly Fault[]
  replace(faults: readonly Fault[], lastId: number): void
  /** The number of the fault that was added last. */
  lastId(): number
  add(fault: ParsedFault, input: FaultInput): Fault
  remove(id: string): boolean
  clear(): void
  /** Counts an occurrence; returns false where the fault is gone or has occurred often enough. */
  take(id: string): boolean
}

/** Tells whether a fault can occur once more. */
export function isInForce({ times, met }: Fault): boolean {
  return times === undefined || met < times
}

export function createFaultList(): FaultList {
  let faults: Fault[] = []
  let count = 0
  return {
    all: () => faults,
    lastId: () => count,
    replace(next, lastId) {
      faults = [...next]
      count = lastId
    },
    add(fault, input) {
      count += 1
      const added = { ...fault, id: `fault-${count}`, input, met: 0 }
      faults.unshift(added)
      return added
    },
    remove(id) {
      const before = faults.length
      faults = faults.filter((fault) => fault.id !== id)
      return faults.length < before
    },
    clear() {
      faults = []
    },
    take(id) {
      const fault = faults.find((candidate) => candidate.id === id)
      if (!fault || !isInForce(fault)) return false
      fault.met += 1
      return true
    },
  }
}
