/**
 * Node's HTTP server. An `import` of `node:http` reads all its exports, among them `WebSocket`, for which Node loads its
 * `fetch`: a tenth of a start.
 */
export const { createServer, METHODS } = process.getBuiltinModule('node:http')
