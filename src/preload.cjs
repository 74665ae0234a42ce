// Loaded before any other file by the npm scripts and by the package's program. It must run on every old Node: no syntax
// newer than ES5.
var required = 24
var major = Number(process.versions.node.split('.')[0])
if (major < required) {
  console.error(
    'trimint needs Node ' +
      required +
      ' or newer, this is ' +
      process.version +
      ': install a newer Node. In a clone, "npm ci" with install scripts and development dependencies on brings its own.',
  )
  process.exit(1)
}

// Keep compiled sources between starts: in the installation's own folder, or where that is not writable in the user's.
// In a shared folder, others could place code.
var path = require('node:path')
var compileCache = require('node:module')
var ownFolder = path.join(__dirname, '../node_modules/.cache/trimint')
var userFolder = path.join(process.env.XDG_CACHE_HOME || path.join(require('node:os').homedir(), '.cache'), 'trimint')
var isRefused = compileCache.enableCompileCache(ownFolder).status === compileCache.constants.compileCacheStatus.FAILED
if (isRefused) compileCache.enableCompileCache(userFolder)
