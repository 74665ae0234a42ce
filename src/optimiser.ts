import { setFlagsFromString } from 'node:v8'

// A request passes through a long row of small functions. V8 makes one of them where it is allowed to, and by default stops early: with
// more room a token takes a few per cent less of the processor (docs/performance.md). Set before anything has been optimised.
setFlagsFromString('--max-inlined-bytecode-size=2000')
setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000')
