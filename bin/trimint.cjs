#!/usr/bin/env node
// The program of the package. In a clone, `npm start` runs the sources in the same way.
require('../dist/preload.cjs')
import('../dist/main.js')
