const REQUIRED = 24

// Older versions lack modules that Trimint imports, and would name one of them instead of the cause.
if (Number.parseInt(process.versions.node, 10) < REQUIRED) {
  throw new Error(`trimint needs Node ${REQUIRED} or newer, this is ${process.version}`)
}
