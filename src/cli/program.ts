import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { hashPassword } from '../core/crypto/passwords.ts'
import { digestSecret } from '../core/crypto/secrets.ts'
import { FIDO_OPERATIONS } from '../core/fido/operation.ts'
import { MISBEHAVIOURS } from '../development/authenticator/misbehaviour.ts'
import { version } from '../observability/version.ts'
import { addKey } from './add-key.ts'
import { type AuthenticatorOptions, DEFAULT_KEYS_FILE, runAuthenticator } from './authenticator.ts'
import { checkConfig } from './check-config.ts'
import { type CredentialOptions, listCredentials, removeCredentials } from './credentials.ts'
import { decode } from './decode.ts'
import { explain } from './explain.ts'
import { type LiftOptions, liftGuard, listGuard, parseNetwork } from './guard.ts'
import { healthcheck } from './healthcheck.ts'
import { CommandError, type CommandIo, randomSecret, readSecret } from './io.ts'
import { listKeys } from './list-keys.ts'
import { checkStore, copyStore, migrateStore } from './manage-store.ts'
import { type PromoteOptions, promoteKey } from './promote-key.ts'
import { printQrCode, type QrOptions } from './qr.ts'
import { SERVE_OPTIONS, type ServeOptions, toVariables } from './serve-options.ts'
import { inspect, type RevokeOptions, revoke } from './tokens.ts'

/**
 * Runs one command line.
 *
 * @param words the arguments after the program's name.
 * @returns the exit code: 0 success, 1 failure or negative result, 2 usage error.
 */
export async function runCommand(words: readonly string[], io: CommandIo): Promise<number> {
  try {
    await createProgram(io).parseAsync(insertServe(words), { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof CommandError)) throw error
    io.stderr.write(`${error.message}\n`)
    return 1
  }
}

/** Inserts the command that may be left out. */
function insertServe(words: readonly string[]): string[] {
  const [first = 'serve'] = words
  const isGiven = !first.startsWith('-') || ['--help', '-h', '--version'].includes(first)
  return isGiven && words.length > 0 ? [...words] : ['serve', ...words]
}

/** Returns the commands of `trimint`. docs/cli.md is generated from it. */
export function createProgram(io: CommandIo): Command {
  const program = new Command('trimint')
    .description(
      'Serves Trimint, and has tools for its operators. Commands read the configuration as the server does: the file that ' +
        'TRIMINT_CONFIG names, or ./trimint.yaml. Exit codes: 0 success, 1 failure or negative result, 2 usage error.',
    )
    .version(version, '--version')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
    })
    .exitOverride()
    .showHelpAfterError('(see trimint --help)')
  const print = (text: string): void => void io.stdout.write(`${text}\n`)

  const serve = program
    .command('serve')
    .description('serve until a signal ends it; `serve` may be left out')
    .action((options: ServeOptions) => io.serve(toVariables(options)))
  for (const [name, { argument, description }] of Object.entries(SERVE_OPTIONS)) {
    serve.option(`--${name} ${argument}`, description)
  }

  program
    .command('new-key')
    .description('print a new random signing key for `keys` in the configuration')
    .action(() => print(randomSecret(io)))

  program
    .command('hash-secret')
    .description('print a random secret for an app, client or resource server, and the digest to configure')
    .option('--stdin', 'print only the digest, of a secret from standard input')
    .action(async ({ stdin }: { stdin?: true }) => {
      const secret = stdin ? await readSecret(io, 'Secret') : randomSecret(io)
      if (!secret) throw new CommandError('the secret is empty')
      if (!stdin) print(`secret: ${secret}`)
      print(`digest: sha256:${Buffer.from(digestSecret(secret)).toString('hex')}`)
    })

  program
    .command('hash-password')
    .description('print the argon2id hash of a password, typed or from standard input, for an account')
    .action(async () => {
      const password = await readSecret(io, 'Password')
      if (!password) throw new CommandError('the password is empty')
      print(await hashPassword(password, io.randomness))
    })

  program
    .command('check-config')
    .description('check a configuration file as the server does at start, and print every issue')
    .argument('[file]', 'default: TRIMINT_CONFIG, or ./trimint.yaml')
    .action((file?: string) => checkConfig(io, file))

  program
    .command('decode')
    .description('print the content of a BWS or IDscan token, and the meaning of its numbers')
    .argument('[token]', 'default: from standard input')
    .option('--verify', 'check signature and times with the configured keys; exit code 1 if the token is not valid')
    .action(async (token: string | undefined, { verify = false }: { verify?: boolean }) => {
      decode(io, (token ?? (await readSecret(io, 'Token'))).trim(), verify)
    })

  program
    .command('inspect')
    .description('print what introspection returns for a token of any contract; exit code 1 if it is not active')
    .argument('[token]', 'default: from standard input')
    .action(async (token: string | undefined) => inspect(io, (token ?? (await readSecret(io, 'Token'))).trim()))

  program
    .command('revoke')
    .description(
      'revoke a token, or everything issued so far to an app, account or user; returns when it is in effect everywhere',
    )
    .argument('[token]', 'the token; - reads it from standard input')
    .option('--app <id>', 'everything issued to this app (BWS)')
    .option('--account <name>', 'everything issued to this account (IDscan)')
    .option('--user <name>', 'everything issued to this user (nevisFIDO)')
    .action(async (token: string | undefined, options: RevokeOptions) =>
      revoke(io, token === '-' ? (await readSecret(io, 'Token')).trim() : token?.trim(), options),
    )

  program
    .command('healthcheck')
    .description(
      'request /healthz from the server that has this environment and configuration; exit code 1 if it does not answer 200',
    )
    .option('--ready', 'request /readyz: exit code 1 also while the server cannot serve, for example without its store')
    .action((options: { ready?: true }) => healthcheck(io, options))

  program
    .command('explain')
    .description('print what a reason of the audit log means, or why the running server refused a request')
    .argument(
      '<reason|requestId>',
      'a reason, or the X-Request-Id of a reply; the latter needs `control` in the configuration',
    )
    .action((subject: string) => explain(io, subject))

  const guard = program.command('guard').description('list failed attempts, and lift blocks')
  guard
    .command('list')
    .description('print the counts of failed attempts, which of them block, and when they expire')
    .action(() => listGuard(io))
  guard
    .command('lift')
    .description('remove counts of failed attempts, and the blocks that they cause')
    .option('--account <name>', 'counts of this account: from --address if given, otherwise from every address')
    .option('--address <address>', 'counts of this address or network, also those of accounts from it', parseNetwork)
    .option('--all', 'every count')
    .action((options: LiftOptions) => liftGuard(io, options))

  const credentials = program
    .command('credentials')
    .description('list and remove registered keys of FIDO authenticators')
  const withSelection = (command: Command): Command =>
    command
      .option('--user <name>', 'keys of this user')
      .option('--aaid <aaid>', 'keys of this model of authenticator')
      .option('--key <id>', 'the key with this id, in base64url')
  withSelection(credentials.command('list'))
    .description('print when each key was registered and last used, its AAID, id, counter and user')
    .action((options: CredentialOptions) => listCredentials(io, options))
  withSelection(credentials.command('remove'))
    .description('delete keys; authentications with them are refused from then on')
    .action((options: CredentialOptions) => removeCredentials(io, options))

  const keys = program.command('keys').description('list, add and promote the keys that sign tokens')
  keys
    .command('list')
    .description('print each key, which running replicas have it, and when it can be removed')
    .action(() => listKeys(io))
  keys
    .command('add')
    .description('add a new key at the end of the list: it verifies and does not sign')
    .action(() => addKey(io))
  keys
    .command('promote')
    .description('move a key to the first place, so that it signs; fails while a running replica lacks it')
    .argument('[id]', 'default: the key with the latest `created`')
    .option('--force', 'do not check the replicas; those that lack the key reject its tokens')
    .action((id: string | undefined, options: PromoteOptions) => promoteKey(io, id, options))

  const store = program.command('store').description('check, create, migrate and move the store')
  const STORE_ARGUMENT = 'URL of the store, or file:path of a file with the URL; default: `store` in the configuration'
  store
    .command('check')
    .description('check that the store can be opened, read and written; warn where it can lose acknowledged writes')
    .argument('[store]', STORE_ARGUMENT)
    .action((name?: string) => checkStore(io, name))
  store
    .command('migrate')
    .description('create the store, or migrate it to this release, for servers whose user may not')
    .argument('[store]', STORE_ARGUMENT)
    .action((name?: string) => migrateStore(io, name))
  store
    .command('copy')
    .description(
      'move all records of an SQLite file to another store while servers use the file; their use of it ends with the last pass',
    )
    .argument('<from>', 'sqlite:path')
    .argument('<to>', 'URL of the new store, or file:path of a file with the URL')
    .action((from: string, to: string) => copyStore(io, from, to))

  program
    .command('qr')
    .description('print the QR code with which an app redeems a nevisFIDO token, and its content')
    .argument('[token]', 'default: from standard input')
    .addOption(
      new Option('--operation <operation>', 'what the token is for; default: looked up in the store').choices(
        FIDO_OPERATIONS,
      ),
    )
    .option('--url <url>', 'where the app reaches Trimint; default: `publicUrl`', parseUrl)
    .option('--link <url>', 'a URL that opens the app: the code then holds this link with the token in it', parseUrl)
    .option('--png <file>', 'write the code to this file as an image')
    .action(async (token: string | undefined, options: QrOptions) =>
      printQrCode(io, (token ?? (await readSecret(io, 'Token'))).trim(), options),
    )

  const authenticator = program
    .command('authenticator')
    .description('act as a phone with a FIDO UAF authenticator, for development')
  for (const action of ['register', 'authenticate', 'deregister'] as const) {
    const command = authenticator
      .command(action)
      .description(AUTHENTICATOR_ACTIONS[action])
      .requiredOption('--token <token>', 'the token to redeem')
      .option('--url <url>', 'the URL of the server; default: the server with this environment', parseUrl)
      .option('--keys <file>', 'the file that keeps the keys', DEFAULT_KEYS_FILE)
      .action((options: AuthenticatorOptions) => runAuthenticator(io, action, options))
    if (action === 'deregister') continue
    command.addOption(new Option('--misbehave <how>', 'what to do wrong on purpose').choices(MISBEHAVIOURS))
  }

  return program
}

function parseUrl(text: string): string {
  if (!URL.canParse(text)) throw new InvalidArgumentError('not a URL; expected one such as http://127.0.0.1:8080')
  return text
}

const AUTHENTICATOR_ACTIONS = {
  register: 'redeem a token for a registration, and answer with a new key',
  authenticate: 'redeem a token for an authentication, and answer with a registered key',
  deregister: 'redeem a token for a deregistration, and delete the keys that it names',
} as const
