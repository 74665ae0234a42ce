// A service that uses the three token APIs. It knows only their address: the vendors' in production, Trimint's in tests.

/** Creates the service. The secrets are those of Trimint's demo. */
export function createOnboarding(tokenUrl, { secret = 'demo-secret', password = 'demo-password' } = {}) {
  async function request(path, options) {
    const reply = await fetch(new URL(path, tokenUrl), options)
    if (!reply.ok) throw new Error(`${path.split('?')[0]} answered ${reply.status}`)
    return reply
  }

  return {
    /** Returns a BWS token to verify the face of a person, such as `bws.112.12345`. */
    async startFaceCheck(bcid) {
      const authorization = `Basic ${Buffer.from(`demo-app:${secret}`).toString('base64')}`
      const reply = await request(`/token?id=demo-app&bcid=${bcid}&task=verify`, { headers: { authorization } })
      return reply.text()
    },

    /** Logs in at IDscan and returns the access token. */
    async logInScanner() {
      const body = new URLSearchParams({ grant_type: 'password', username: 'demo', password, area: 'scanning' })
      const reply = await request('/idscanenterprisesvc/token', { method: 'POST', body })
      return (await reply.json()).access_token
    },

    /** Returns a nevisFIDO token to register a user's authenticator, and its session. */
    async startRegistration(username) {
      const reply = await request('/nevisfido/token/create/registration', {
        method: 'POST',
        headers: { accept: 'application/json', 'content-type': 'application/fido+uaf;charset=UTF-8' },
        body: JSON.stringify({ context: JSON.stringify({ username }), op: 'Reg' }),
      })
      const { token, sessionId } = await reply.json()
      return { token, sessionId }
    },
  }
}
