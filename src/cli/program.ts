import { Command, CommanderError } from 'commander'
import { hashPassword } from '../core/crypto/passwords.ts'
import { digestSecret } from '../core/crypto/secrets.ts'
import { addKey } from './add-key.ts'
import { checkConfig } from './check-config.ts'
import { decode } from './decode.ts'
import { type LiftOptions, liftGuard, listGuard } from './guard.ts'
import { healthcheck } from './healthcheck.ts'
import { CommandError, type CommandIo, randomSecret, readSecret } from './io.ts'
import { listKeys } from './list-keys.ts'
import { type PromoteOptions, promoteKey } from './promote-key.ts'
import { inspect, type RevokeOptions, revoke } from './tokens.ts'

/**
 * Runs one command line.
 *
 * @param words what follows the program's name.
 * @returns the exit code: 0 done, 1 the answer is no, 2 the words are off.
 */
export async function runCommand(words: readonly string[], io: CommandIo): Promise<number> {
  try {
    await createProgram(io).parseAsync(words, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof CommandError)) throw error
    io.stderr.write(`${error.message}\n`)
    return 1
  }
}

function createProgram(io: CommandIo): Command {
  const program = new Command('trimint')
    .description('Tools for operators of a Trimint. Exit codes: 0 done, 1 the answer is no, 2 wrong usage.')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
    })
    .exitOverride()
    .showHelpAfterError('(see trimint --help)')
  const print = (text: string): void => void io.stdout.write(`${text}\n`)

  program
    .command('new-key')
    .description('print a new random signing key, for "keys" in the configuration')
    .action(() => print(randomSecret(io)))

  program
    .command('hash-secret')
    .description('make a random secret for an app, a client or a resource server, and the digest to configure')
    .option('--stdin', 'take the secret from standard input instead')
    .action(async ({ stdin }: { stdin?: true }) => {
      const secret = stdin ? await readSecret(io, 'Secret') : randomSecret(io)
      if (!secret) throw new CommandError('the secret is empty')
      if (!stdin) print(`secret: ${secret}`)
      print(`digest: sha256:${Buffer.from(digestSecret(secret)).toString('hex')}`)
    })

  program
    .command('hash-password')
    .description("hash an account's password, from standard input, for the configuration (argon2id)")
    .action(async () => {
      const password = await readSecret(io, 'Password')
      if (!password) throw new CommandError('the password is empty')
      print(await hashPassword(password, io.randomness))
    })

  program
    .command('check-config')
    .description('check a configuration as a start would, and print every fault')
    .argument('[file]', 'default: TRIMINT_CONFIG, or ./trimint.yaml')
    .action((file?: string) => checkConfig(io, file))

  program
    .command('decode')
    .description('print what a signed token says, the bits spelled out')
    .argument('[token]', 'default: from standard input')
    .option('--verify', "check signature and times with the configuration's keys; exit code 1 when it is not valid")
    .action(async (token: string | undefined, { verify = false }: { verify?: boolean }) => {
      decode(io, (token ?? (await readSecret(io, 'Token'))).trim(), verify)
    })

  program
    .command('inspect')
    .description('say what introspection says of a token of any kind; exit code 1 when it is not good')
    .argument('[token]', 'default: from standard input')
    .action(async (token: string | undefined) => inspect(io, (token ?? (await readSecret(io, 'Token'))).trim()))

  program
    .command('revoke')
    .description(
      'revoke a token, or everything issued to somebody up to now; comes back when that is in force everywhere',
    )
    .argument('[token]', '- for standard input')
    .option('--app <id>', 'everything issued to this app (BWS)')
    .option('--account <name>', 'everything issued to this account (IDscan)')
    .option('--user <name>', 'everything issued to this user (nevisFIDO)')
    .action(async (token: string | undefined, options: RevokeOptions) =>
      revoke(io, token === '-' ? (await readSecret(io, 'Token')).trim() : token?.trim(), options),
    )

  program
    .command('healthcheck')
    .description('ask the server that has this environment and configuration whether it is alive')
    .action(() => healthcheck(io))

  const guard = program.command('guard').description('what the brute-force guard has counted')
  guard
    .command('list')
    .description('show failures and blocks, and until when they count')
    .action(() => listGuard(io))
  guard
    .command('lift')
    .description('forget failures, and with them a block')
    .option('--account <name>', 'of this account, from everywhere unless --address is given too')
    .option('--address <address>', 'from this address')
    .option('--all', 'everything')
    .action((options: LiftOptions) => liftGuard(io, options))

  const keys = program.command('keys').description('the keys that sign tokens, and how to exchange them')
  keys
    .command('list')
    .description('show each key, which running replicas have it, and when it can go')
    .action(() => listKeys(io))
  keys
    .command('add')
    .description('add a new key at the end of the list: it verifies everywhere and signs nowhere')
    .action(() => addKey(io))
  keys
    .command('promote')
    .description('put a key in the first place, so that it signs; refused while a running replica does not have it yet')
    .argument('[id]', 'default: the newest')
    .option('--force', 'whoever has it: tokens of this key are refused where it is missing')
    .action((id: string | undefined, options: PromoteOptions) => promoteKey(io, id, options))

  return program
}
