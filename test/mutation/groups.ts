/**
 * Sources that are mutated together, and the tests that must fail for a mutant. The tests run in one process; none is
 * slow.
 */
export interface Group {
  readonly mutate: readonly string[]
  /** In order of speed: the first test that fails ends the run. */
  readonly tests: readonly string[]
  /** Programs and stores to leave out, since tests that need them do not cover these sources. */
  readonly without?: readonly string[]
  /** Whether the tests measure time. If so, each waits until the machine is idle (quiet.ts). */
  readonly timed?: boolean
  /** Sources that run on threads, each with the tests that cover it (active-mutant.ts). */
  readonly threads?: Readonly<Record<string, readonly string[]>>
  /** Modules to load before any test: Stryker attributes code that runs at import to the test that imports it first. */
  readonly preload?: readonly string[]
}

const STORE_TESTS = [
  'test/system/store/instance-store.test.ts',
  'test/system/store/failed-attempt-store.test.ts',
  'test/system/store/usage-store.test.ts',
  'test/system/store/token-store.test.ts',
  'test/system/store/revocation-store.test.ts',
  'test/system/store/credential-store.test.ts',
]

const TOKEN_OPERATIONS = 'test/unit/store/token-operations.test.ts'

const ofStore = (name: string): string => `test/system/store/${name}.test.ts`

/** What the thread with the writing connection runs, without its loop: nothing ends a mutant that never waits. */
const SQLITE_THREAD = {
  'src/store/sqlite/credential-{changes,store}.ts': [ofStore('credential-store')],
  'src/store/sqlite/failed-attempt-store.ts': [ofStore('failed-attempt-store')],
  'src/store/sqlite/instance-store.ts': [ofStore('instance-store')],
  'src/store/sqlite/revocation-store.ts': [ofStore('revocation-store')],
  'src/store/sqlite/token-store.ts': [TOKEN_OPERATIONS, ofStore('token-store'), ofStore('credential-store')],
  'src/store/sqlite/usage-store.ts': [ofStore('usage-store')],
  'src/store/sqlite/database.ts': [ofStore('sqlite-database'), ofStore('sqlite-source'), ofStore('token-store')],
  'src/store/sqlite/{operations,token-lookup,transaction}.ts': [TOKEN_OPERATIONS, ofStore('token-store')],
}

/** What connects to Redis and finds a server among several. */
const REDIS_CONNECTION = [
  'ask-servers',
  'client',
  'cluster',
  'connection',
  'delete-keys',
  'durability',
  'open',
  'primary',
  'refusal',
  'reserve',
  'rights',
  'sentinel',
  'topology',
].map((name) => `src/store/redis/${name}.ts`)

export const GROUPS: Readonly<Record<string, Group>> = {
  'core-bws': {
    mutate: ['src/core/bws/*.ts'],
    tests: [
      'test/unit/core/bws/*.test.ts',
      'test/unit/core/crypto/jws.test.ts',
      'test/http/bws/token.test.ts',
      'test/http/bws/authz.test.ts',
      'test/http/bws/request.test.ts',
    ],
  },
  'core-fido': {
    mutate: ['src/core/fido/*.ts'],
    tests: [
      'test/unit/core/fido/*.test.ts',
      'test/http/nevisfido/*.test.ts',
      'test/http/nevisfido/uaf/*.test.ts',
      'test/http/endpoints/revoke.test.ts',
    ],
  },
  'core-uaf': {
    mutate: ['src/core/uaf/**/*.ts'],
    tests: [
      'test/unit/core/uaf/*.test.ts',
      'test/http/nevisfido/uaf/{algorithms,authentication,policy,registration,response}.test.ts',
    ],
  },
  'core-idscan': {
    mutate: ['src/core/idscan/*.ts'],
    tests: ['test/unit/core/idscan/*.test.ts', 'test/http/idscan/authz.test.ts', 'test/http/guard.test.ts'],
  },
  core: {
    mutate: ['src/core/*.ts', 'src/core/crypto/*.ts'],
    tests: [
      'test/unit/core/**/*.test.ts',
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
      'test/http/nevisfido/*.test.ts',
    ],
  },
  'store-sqlite': {
    mutate: [
      'src/store/sqlite/*.ts',
      '!src/store/sqlite/writer-thread.ts',
      ...Object.keys(SQLITE_THREAD).map((file) => `!${file}`),
      'src/store/after-microtasks.ts',
      'src/store/sweep.ts',
      'src/store/instrumented.ts',
    ],
    tests: [
      'test/unit/store/*.test.ts',
      'test/system/store/sqlite-*.test.ts',
      ...STORE_TESTS,
      'test/system/store-copy.test.ts',
    ],
    without: ['redis-server', 'postgres'],
    timed: true,
  },
  'store-sqlite-thread': {
    mutate: Object.keys(SQLITE_THREAD),
    tests: [
      'test/unit/store/{token-lookup,token-operations,transaction}.test.ts',
      'test/system/store/sqlite-*.test.ts',
      ...STORE_TESTS,
    ],
    without: ['redis-server', 'postgres'],
    timed: true,
    threads: SQLITE_THREAD,
  },
  'store-redis': {
    mutate: ['src/store/redis/*.ts', ...REDIS_CONNECTION.map((file) => `!${file}`)],
    tests: [
      'test/unit/store/{batcher,redis-token-record}.test.ts',
      ...STORE_TESTS,
      'test/system/store/redis-pages.test.ts',
    ],
    without: ['redis nodes', 'postgres'],
    timed: true,
    preload: ['src/store/redis/open.ts'],
  },
  'store-redis-connection': {
    mutate: [...REDIS_CONNECTION, 'src/store/open-stores.ts'],
    tests: [
      'test/unit/store/{batcher,redis-*}.test.ts',
      'test/system/store/redis-{client,pages}.test.ts',
      ofStore('usage-store'),
    ],
    without: ['redis nodes', 'postgres'],
    timed: true,
    preload: ['src/store/redis/open.ts'],
  },
  'store-postgres': {
    mutate: ['src/store/postgres/*.ts'],
    tests: ['test/unit/store/postgres-*.test.ts', 'test/system/store/postgres-*.test.ts', ...STORE_TESTS],
    without: ['redis-server'],
    timed: true,
    preload: ['src/store/postgres/open.ts'],
  },
}
