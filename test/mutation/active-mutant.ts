// Threads start with a copy of this process's environment, where Stryker's code looks for the number of the active mutant.

declare global {
  // Stryker's own name, set by its setup file, which runs before this one.
  var __stryker__: { readonly activeMutant?: string } | undefined
}

const active = globalThis.__stryker__?.activeMutant
if (active === undefined) delete process.env.__STRYKER_ACTIVE_MUTANT__
else process.env.__STRYKER_ACTIVE_MUTANT__ = active
