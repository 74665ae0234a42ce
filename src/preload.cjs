// Preloaded by the npm scripts, before anything else is read; and so the one file that an old Node has to understand.
var required = 24
var major = Number(process.versions.node.split('.')[0])
if (major < required) {
  console.error(
    'trimint needs Node ' +
      required +
      ' or newer, this is ' +
      process.version +
      ': run "npm ci" with install scripts and development dependencies on (it brings its own Node), or install a newer Node.',
  )
  process.exit(1)
}

// What Node makes of the sources is kept from one start to the next, in a folder of whoever installed this: one that others can
// write into, such as the system's for temporary files, could have us run their code. Where it cannot be written, a start
// takes longer, and that is all.
require('node:module').enableCompileCache(require('node:path').join(__dirname, '../node_modules/.cache/trimint'))
