// nginx: signs a JWT with HS256 for each request.

import crypto from 'crypto'

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = encode({ alg: 'HS256', typ: 'JWT' })

function issue(request) {
  const now = Math.floor(Date.now() / 1000)
  const jti = request.variables.request_id
  const payload = encode({ jti, sub: 'anna', iss: 'bench', aud: 'bench', nbf: now, exp: now + 600 })
  const signed = `${header}.${payload}`
  const signature = crypto.createHmac('sha256', 'a secret of thirty-two characters').update(signed).digest('base64url')
  request.headersOut['Content-Type'] = 'text/plain; charset=utf-8'
  request.return(200, `${signed}.${signature}`)
}

export default { issue }
