import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Deployment, deploy } from '../support/instances.ts'
import { trackSecret } from '../support/leak-recorder.ts'
import { bodyFor, UAF } from '../support/nevisfido.ts'
import { hasProgram } from '../support/programs.ts'

// Clients on their platforms' own HTTP libraries create a token, poll its session, redeem it, and redeem it again.

const USERNAME = 'Zoë "the \\<br>"\nO\'Łódź'
const BODY = bodyFor('registration', { username: USERNAME })

let deployment: Deployment
let url: string
beforeAll(async () => {
  deployment = await deploy()
  url = (await deployment.start()).url
})
afterAll(() => deployment[Symbol.asyncDispose]())

/** Expects the replies to a client's calls, in order. */
function expectConversation(replies: readonly string[]): void {
  const [created, before, redeemed, after, again] = replies.map((reply) => JSON.parse(reply) as Record<string, string>)
  for (const id of [created?.token, created?.sessionId]) if (id) trackSecret(id)
  expect(created).toEqual({ token: expect.any(String), sessionId: expect.any(String), statusCode: 1200 })
  expect(before).toMatchObject({ status: 'tokenCreated', userId: USERNAME })
  expect(redeemed).toMatchObject({ statusCode: 1200, op: 'Reg', lifetimeMillis: 300_000 })
  expect(JSON.parse(redeemed?.uafRequest ?? '')).toMatchObject([{ username: USERNAME }])
  expect(after).toMatchObject({ status: 'clientRegistering', userId: USERNAME })
  expect(again).toEqual({ statusCode: 1491 })
  expect(replies).toHaveLength(5)
}

test("N16: Node's fetch creates, redeems and polls", async () => {
  const replies: string[] = []
  async function post(path: string, contentType: string, accept: string, body: string) {
    const response = await fetch(url + path, { method: 'POST', headers: { 'Content-Type': contentType, accept }, body })
    expect(response.status).toBe(200)
    replies.push(await response.text())
    return JSON.parse(replies.at(-1) ?? '') as Record<string, string>
  }
  const path = '/nevisfido/token/create/registration'
  const { token, sessionId } = await post(path, `${UAF};charset=UTF-8`, 'application/json', BODY)
  const poll = () => post('/nevisfido/status', 'application/json', 'application/json', JSON.stringify({ sessionId }))
  const redeem = () => post('/nevisfido/token/redeem/registration', 'application/json', UAF, JSON.stringify({ token }))
  await poll()
  await redeem()
  await poll()
  await redeem()
  expectConversation(replies)
})

const PYTHON = `
import json, sys, urllib.request

url, body = sys.argv[1:]

def post(path, content_type, accept, body):
    headers = {'Content-Type': content_type, 'Accept': accept}
    request = urllib.request.Request(url + path, body.encode(), headers)
    with urllib.request.urlopen(request) as response:
        reply = response.read().decode()
    print(reply)
    return json.loads(reply)

created = post('/nevisfido/token/create/registration', '${UAF};charset=UTF-8', 'application/json', body)

def poll():
    session = json.dumps({'sessionId': created['sessionId']})
    post('/nevisfido/status', 'application/json', 'application/json', session)

def redeem():
    token = json.dumps({'token': created['token']})
    post('/nevisfido/token/redeem/registration', 'application/json', '${UAF}', token)

poll()
redeem()
poll()
redeem()
`

test.skipIf(!hasProgram('python3'))("N16: Python's urllib creates, redeems and polls", async () => {
  const env = { ...process.env, PYTHONUTF8: '1' }
  const { stdout } = await promisify(execFile)('python3', ['-c', PYTHON, url, BODY], { env })
  expectConversation(stdout.trimEnd().split('\n'))
})

const JAVA = `
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

class Caller {
  /** Its default is HTTP/2: over plain HTTP each request offers Upgrade: h2c. */
  static final HttpClient CLIENT = HttpClient.newHttpClient();
  static String url;
  static String created;

  public static void main(String[] args) throws Exception {
    url = args[0];
    created = post("/nevisfido/token/create/registration", "${UAF};charset=UTF-8", "application/json", args[1]);
    poll();
    redeem();
    poll();
    redeem();
  }

  static void poll() throws Exception {
    post("/nevisfido/status", "application/json", "application/json", bodyWith("sessionId"));
  }

  static void redeem() throws Exception {
    post("/nevisfido/token/redeem/registration", "application/json", "${UAF}", bodyWith("token"));
  }

  /** The member of the created token's reply, alone. */
  static String bodyWith(String name) {
    var member = Pattern.compile("\\"" + name + "\\":\\"[^\\"]+\\"").matcher(created);
    if (!member.find()) throw new IllegalStateException(created);
    return "{" + member.group() + "}";
  }

  static String post(String path, String contentType, String accept, String body) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(url + path))
      .header("Content-Type", contentType)
      .header("Accept", accept)
      .POST(BodyPublishers.ofString(body))
      .build();
    var response = CLIENT.send(request, BodyHandlers.ofString());
    if (response.statusCode() != 200) throw new IllegalStateException("HTTP " + response.statusCode());
    System.out.println(response.body());
    return response.body();
  }
}
`

test.skipIf(!hasProgram('java'))("N16: Java's HttpClient, which offers h2c, creates, redeems and polls", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trimint-java-'))
  try {
    const file = join(folder, 'Caller.java')
    await writeFile(file, JAVA)
    // Otherwise Java reads its arguments, and writes its output, as ASCII where no locale is set.
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    const { stdout } = await promisify(execFile)('java', [file, url, BODY], { env })
    expectConversation(stdout.trimEnd().split('\n'))
  } finally {
    await rm(folder, { recursive: true })
  }
})
