import { execFile } from 'node:child_process'
import { tellOperator } from './tell-operator.ts'

/**
 * Tells systemd that the service has started (sd_notify(3)), if systemd has started it with `Type=notify`. The program
 * `systemd-notify` sends the message, because Node has no datagram sockets of the Unix family.
 */
export function notifyServiceManager(variables: NodeJS.ProcessEnv): void {
  const { NOTIFY_SOCKET, PATH } = variables
  if (NOTIFY_SOCKET === undefined) return
  // Without the rest of the environment, which may hold secrets.
  const env = { NOTIFY_SOCKET, ...(PATH === undefined ? {} : { PATH }) }
  execFile('systemd-notify', ['--ready'], { env }, (error) => {
    if (error) tellOperator(`trimint: systemd was not told that the service is ready: ${error.message}\n`)
  })
}
