// Preloaded by the npm scripts, and so the one file that an old Node has to understand.
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
