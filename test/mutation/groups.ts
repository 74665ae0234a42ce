/** What is mutated together, and the tests that have to notice: all of them in one process, none of them slow. */
export interface Group {
  readonly mutate: readonly string[]
  /** In this order: the first that fails ends it, so what is quick comes first. */
  readonly tests: readonly string[]
  /** Programs that its tests do without: what needs them says nothing about these sources, and is slow. */
  readonly without?: readonly string[]
  /** Whether its tests look at how long something takes: then each waits for a machine that has time (quiet.ts). */
  readonly timed?: boolean
  /** What is loaded before any test. Stryker takes what a test loads for its alone, and asks no other about it. */
  readonly preload?: readonly string[]
}

const STORE_TESTS = [
  'test/system/store/instance-store.test.ts',
  'test/system/store/failed-attempt-store.test.ts',
  'test/system/store/usage-store.test.ts',
  'test/system/store/token-store.test.ts',
  'test/system/store/revocation-store.test.ts',
]

export const GROUPS: Readonly<Record<string, Group>> = {
  'core-bws': {
    mutate: ['src/core/bws/*.ts'],
    tests: [
      'test/core/bws/*.test.ts',
      'test/unit/core/crypto/jws.test.ts',
      'test/http/bws/token.test.ts',
      'test/http/bws/authz.test.ts',
      'test/http/bws/request.test.ts',
    ],
  },
  'core-fido': {
    mutate: ['src/core/fido/*.ts'],
    tests: ['test/core/fido/*.test.ts', 'test/contracts/nevisfido/*.test.ts', 'test/http/endpoints/revoke.test.ts'],
  },
  'core-idscan': {
    mutate: ['src/core/idscan/*.ts'],
    tests: ['test/core/idscan/*.test.ts', 'test/http/idscan/authz.test.ts', 'test/http/guard.test.ts'],
  },
  core: {
    mutate: ['src/core/*.ts'],
    tests: [
      'test/core/**/*.test.ts',
      'test/http/lifecycle.test.ts',
      'test/http/endpoints/introspect.test.ts',
      'test/http/endpoints/revoke.test.ts',
      'test/http/guard.test.ts',
    ],
  },
  schemas: {
    mutate: ['src/contracts/*/schema.ts'],
    tests: [
      'test/unit/openapi-current.test.ts',
      'test/http/bws/request.test.ts',
      'test/http/bws/authz.test.ts',
      'test/http/idscan/request.test.ts',
      'test/http/idscan/authz.test.ts',
      'test/contracts/nevisfido/*.test.ts',
    ],
  },
  'store-sqlite': {
    mutate: [
      'src/store/sqlite-*.ts',
      'src/store/sqlite/group-commit.ts',
      'src/store/sqlite/write-ahead-log.ts',
      'src/store/sqlite/row-index.ts',
      'src/store/after-microtasks.ts',
      'src/store/sweep.ts',
      'src/store/instrumented.ts',
    ],
    tests: [
      'test/unit/store/group-commit.test.ts',
      'test/unit/store/write-ahead-log.test.ts',
      'test/unit/store/row-index.test.ts',
      'test/unit/store/token-rows.test.ts',
      'test/system/store/sqlite-database.test.ts',
      'test/unit/store/instrumented.test.ts',
      ...STORE_TESTS,
    ],
    without: ['redis-server'],
    timed: true,
  },
  'store-redis': {
    mutate: ['src/store/redis*.ts', 'src/store/redis/batcher.ts', 'src/store/open-stores.ts'],
    tests: ['test/unit/store/batcher.test.ts', 'test/system/store/redis-client.test.ts', ...STORE_TESTS],
    timed: true,
    preload: ['src/store/redis/open.ts'],
  },
}
