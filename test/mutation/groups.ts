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
  'test/store/replica-store.test.ts',
  'test/store/failure-store.test.ts',
  'test/store/use-store.test.ts',
  'test/store/token-store.test.ts',
  'test/store/revocation-store.test.ts',
]

export const GROUPS: Readonly<Record<string, Group>> = {
  'core-bws': {
    mutate: ['src/core/bws/*.ts'],
    tests: [
      'test/core/bws/*.test.ts',
      'test/core/jws.test.ts',
      'test/contracts/bws/token.test.ts',
      'test/contracts/bws/authz.test.ts',
      'test/contracts/bws/request.test.ts',
    ],
  },
  'core-fido': {
    mutate: ['src/core/fido/*.ts'],
    tests: ['test/core/fido/*.test.ts', 'test/contracts/nevisfido/*.test.ts', 'test/service/revoke.test.ts'],
  },
  'core-idscan': {
    mutate: ['src/core/idscan/*.ts'],
    tests: ['test/core/idscan/*.test.ts', 'test/contracts/idscan/authz.test.ts', 'test/contracts/guard.test.ts'],
  },
  core: {
    mutate: ['src/core/*.ts'],
    tests: [
      'test/core/**/*.test.ts',
      'test/lifecycle.test.ts',
      'test/service/introspect.test.ts',
      'test/service/revoke.test.ts',
      'test/contracts/guard.test.ts',
    ],
  },
  schemas: {
    mutate: ['src/contracts/*/schema.ts'],
    tests: [
      'test/openapi-current.test.ts',
      'test/contracts/bws/request.test.ts',
      'test/contracts/bws/authz.test.ts',
      'test/contracts/idscan/request.test.ts',
      'test/contracts/idscan/authz.test.ts',
      'test/contracts/nevisfido/*.test.ts',
    ],
  },
  'store-sqlite': {
    mutate: [
      'src/store/sqlite-*.ts',
      'src/store/group-commit.ts',
      'src/store/write-ahead-log.ts',
      'src/store/row-index.ts',
      'src/store/when-settled.ts',
      'src/store/sweep.ts',
      'src/store/measured.ts',
    ],
    tests: [
      'test/store/group-commit.test.ts',
      'test/store/write-ahead-log.test.ts',
      'test/store/row-index.test.ts',
      'test/store/sqlite-token-rows.test.ts',
      'test/store/sqlite-database.test.ts',
      'test/store/measured.test.ts',
      ...STORE_TESTS,
    ],
    without: ['redis-server'],
    timed: true,
  },
  'store-redis': {
    mutate: ['src/store/redis*.ts', 'src/store/gathering.ts', 'src/store/open.ts'],
    tests: ['test/store/gathering.test.ts', 'test/store/redis-client.test.ts', ...STORE_TESTS],
    timed: true,
    preload: ['src/store/redis.ts'],
  },
}
