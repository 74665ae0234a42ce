import { expect, test } from 'vitest'
import { redactStoreUrl, resolveStoreUrl, storeUrlIssue } from '../../../src/config/store-url.ts'

test.each([
  'sqlite::memory:',
  'sqlite:./data/trimint.db',
  'sqlite:trimint.db',
  'sqlite:/var/lib/trimint/trimint.db',
  'sqlite:///var/lib/trimint/trimint.db',
  'sqlite:C:/data with blanks/trimint.db',
  'redis://localhost',
  'redis://localhost:6379/',
  'redis://127.0.0.1:6379/0',
  'redis://[::1]:6379/15',
  'rediss://user:p%40ss%23word@redis.example.com:6380/1',
  'redis://:p@ssword@valkey_1:6379/0',
  'rediss://redis.example.com:6380/1?ca=/etc/redis/ca.pem',
  'rediss://redis.example.com?ca=ca%20of%20ours.pem',
  'redis://redis.example.com?wait=1',
  'rediss://redis.example.com?ca=/ca.pem&wait=2',
  'redis+sentinel://s1:26379,s2,[::1]:26380/mymaster',
  'redis+sentinel://trimint:p%40ss@s1,s2,s3/my.master-1/0?wait=1',
  'rediss+sentinel://:password@s1,s2,s3/mymaster/3?wait=1&ca=/ca.pem',
  'redis+cluster://n1:6379,n2:6380,n3',
  'rediss+cluster://trimint:password@n1:6379/0?ca=/ca.pem&wait=1',
  'postgres://trimint@db/trimint',
  'postgres://trimint@[::1]:5433/trimint',
  'postgresql://trimint:p%40ss@db1:5432,db2:5433,[::1]/trimint',
  'postgres://trimint:x@db1,db2/trimint?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/ca.pem',
  'postgres://trimint:x@db/trimint?target_session_attrs=primary&sslmode=verify-ca&sslrootcert=system',
])('accepts the store URL %s', (url) => {
  expect(storeUrlIssue(url)).toBeUndefined()
})

test.each([
  ['', 'invalid value'],
  ['mysql://x', 'invalid value'],
  ['SQLITE:a.db', 'invalid value'],
  ['sqlite:', 'no path'],
  ['sqlite::memory: ', 'blanks around the URL'],
  ['sqlite: a.db\u0000', 'control character in the URL'],
  ['sqlite::temp:', 'unknown name that starts with a colon'],
  ['sqlite:file:a.db', 'SQLite URI'],
  ['sqlite:~/a.db', 'path that starts with ~'],
  ['sqlite://host/a.db', 'host name in the path'],
  ['sqlite:a.db?mode=ro', 'parameters behind a question mark'],
  ['sqlite:./data/', 'path of a folder'],
])('rejects %j, a path that SQLite or the system would take for something else: %s', (url, failure) => {
  expect(storeUrlIssue(url)).toMatch(new RegExp(`^${failure}.*; expected sqlite:path`))
})

test.each([
  ['redis://host:6379/0?db=1', 'unknown parameter \\(known: ca, wait\\)'],
  ['rediss://host:6379/0?ssl_cert_reqs=none', 'unknown parameter'],
  ['redis://host?', 'unknown parameter'],
  ['redis://host:6379/0?ca=/ca.pem', 'parameter ca without TLS'],
  ['redis+sentinel://host/mymaster?ca=/ca.pem', 'parameter ca without TLS'],
  ['rediss://host:6379/0?ca=', 'empty ca'],
  ['rediss://host:6379/0?ca', 'empty ca'],
  ['rediss://host:6379/0?ca=/ca.pem&ca=/other.pem', 'parameter ca twice'],
  ['rediss://host:6379/0?ca=/50%', 'percent sign'],
  ['redis://host:6379/0?wait=0', 'wait that is not a number of replicas'],
  ['redis://host:6379/0?wait=', 'wait that is not a number of replicas'],
  ['redis://host:6379/0?wait=10', 'wait that is not a number of replicas'],
  ['redis://host:6379/0?wait=true', 'wait that is not a number of replicas'],
  ['redis://:pass#word@host:6379/0', 'number sign'],
  ['redis://host:6379/0#1', 'number sign'],
  ['redis://:%zz@host:6379/0', 'percent sign'],
  ['redis://%zz:password@host:6379/0', 'percent sign'],
  ['redis://host:99999/0', 'invalid host or port'],
  ['redis://host:port/0', 'invalid host or port'],
  ['redis://host:0/0', 'invalid host or port'],
  ['redis://:pass/word@host/0', 'invalid host or port'],
  ['redis://a:6379,b:6379/0', 'several hosts without redis\\+sentinel: or redis\\+cluster:'],
  ['redis://a,b:6379/0', 'several hosts'],
  ['redis:///0', 'invalid host or port'],
  ['redis+cluster://a,,b', 'invalid host or port'],
  ['redis://host/zero', 'path that is not the number of a database'],
  ['redis://host/0/1', 'path that is not the number of a database'],
  ['redis+sentinel://a,b,c', 'path that is not the name of a primary'],
  ['redis+sentinel://a,b,c/', 'path that is not the name of a primary'],
  ['redis+sentinel://a,b,c/mymaster/zero', 'path that is not the name of a primary'],
  ['redis+sentinel://a,b,c/my%20master', 'path that is not the name of a primary'],
  ['redis+cluster://a,b/1', 'database other than 0'],
  ['redis+sentinel://a,b,A:26379/mymaster', 'host twice'],
  ['redis://host:6379/0?wait=\u20281', 'invalid host or port'],
  ['redis+ring://a,b/1', 'invalid value'],
  ['redis:host', 'invalid value'],
])('rejects %j, a part of which the client would ignore or misread: %s', (url, failure) => {
  expect(storeUrlIssue(url)).toMatch(new RegExp(`^${failure}.*; expected sqlite:path`))
})

test.each([
  ['postgres:db', 'invalid value'],
  ['postgres://db', 'not of the form postgres:'],
  ['postgres://trimint@db/', 'no database'],
  ['postgres://db/trimint', 'no user'],
  ['postgres://:x@db/trimint', 'no user'],
  ['postgres://trimint:a:b@db/trimint', 'colon in the password'],
  ['postgres://trimint:a@b@db/trimint', 'not of the form'],
  ['postgres://trimint:50%@db/trimint', 'percent sign'],
  ['postgres://trimint:a%00b@db/trimint', 'percent sign, or %00,'],
  ['postgres://trimint@/trimint', 'invalid host or port'],
  ['postgres://trimint@db:0/trimint', 'invalid host or port'],
  ['postgres://trimint@db:65536/trimint', 'invalid host or port'],
  ['postgres://trimint@db:123456/trimint', 'invalid host or port'],
  ['postgres://trimint@[::1/trimint', 'invalid host or port'],
  ['postgres://trimint@db,/trimint', 'invalid host or port'],
  ['postgres://trimint@[::z]/trimint', 'invalid host or port'],
  ['postgres://trimint@%2Frun/trimint', 'invalid host or port'],
  ['postgres://trimint@db/trimint#x', 'not of the form'],
  ['postgres://trimint@db/trimint?sslmode=require', 'sslmode that does not verify the server'],
  ['postgres://trimint@db/trimint?sslmode=prefer', 'sslmode that does not verify the server'],
  ['postgres://trimint@db/trimint?sslrootcert=/ca.pem', 'sslrootcert without sslmode'],
  ['postgres://trimint@db/trimint?sslmode=verify-full&sslrootcert=', 'empty sslrootcert'],
  ['postgres://trimint@db/trimint?sslmode=verify-full&sslmode=disable', 'parameter sslmode twice'],
  ['postgres://trimint@db/trimint?options=-c', 'unknown parameter'],
  ['postgres://trimint@db/trimint?target_session_attrs=standby', 'target_session_attrs other than'],
])('rejects the PostgreSQL URL %j: %s', (url, failure) => {
  const issue = storeUrlIssue(url)
  expect(issue?.startsWith(failure), issue).toBe(true)
  expect(issue).toMatch(/; expected sqlite:path/)
})

test.each([
  ['sqlite:./data/a.db', 'sqlite:/etc/trimint/data/a.db'],
  ['sqlite:../a.db', 'sqlite:/etc/a.db'],
  ['sqlite:/srv/a.db', 'sqlite:/srv/a.db'],
  ['sqlite::memory:', 'sqlite::memory:'],
  ['redis://host/0', 'redis://host/0'],
  ['rediss://host/0?ca=ca.pem', 'rediss://host/0?ca=/etc/trimint/ca.pem'],
  ['postgres://u:p@h/d?sslmode=verify-full', 'postgres://u:p@h/d?sslmode=verify-full'],
  [
    'postgres://u:p@h/d?sslrootcert=our%20+%25.pem&sslmode=verify-ca',
    'postgres://u:p@h/d?sslrootcert=/etc/trimint/our %2B%25.pem&sslmode=verify-ca',
  ],
  ['postgres://u@h/d?sslmode=verify-ca&sslrootcert=system', 'postgres://u@h/d?sslmode=verify-ca&sslrootcert=system'],
  ['rediss+sentinel://u:p@a,b/m?wait=1&ca=ca.pem', 'rediss+sentinel://u:p@a,b/m?wait=1&ca=/etc/trimint/ca.pem'],
  ['redis+cluster://a,b?wait=1', 'redis+cluster://a,b?wait=1'],
  ['rediss://host/0?ca=100%25/%23.pem', 'rediss://host/0?ca=/etc/trimint/100%25/%23.pem'],
])('resolves %s against a folder', (url, resolved) => {
  expect(resolveStoreUrl(url, '/etc/trimint')).toBe(resolved)
})

test('hides the credentials of a URL, also with an @ in the password', () => {
  expect(redactStoreUrl('redis://u:p@ss@host:6379/0')).toBe('redis://…@host:6379/0')
  expect(redactStoreUrl('postgres://u:p@h1,h2/d?sslmode=verify-full')).toBe('postgres://…@h1,h2/d?sslmode=verify-full')
})
