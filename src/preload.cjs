// Loaded before any other file by the npm scripts. It must run on every old Node: no syntax newer than ES5.
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

// Keep compiled sources between starts. In the installation's own folder: others could place code in a shared one.
require('node:module').enableCompileCache(require('node:path').join(__dirname, '../node_modules/.cache/trimint'))
