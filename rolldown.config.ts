import { copyFile } from 'node:fs/promises'
import { defineConfig } from 'rolldown'

// Builds dist/, the JavaScript of the package. Few files start faster than many: Node reads and links each one.

/** Libraries that compute and do no I/O. The bundle contains the parts of them that Trimint uses. */
const BUNDLED = /^(?:zod|yaml)(?:\/|$)/

export default defineConfig({
  input: {
    main: 'src/main.ts',
    index: 'src/index.ts',
    // A thread, which the store loads by this name (src/store/sqlite/open-writer.ts).
    'writer-thread': 'src/store/sqlite/writer-thread.ts',
  },
  platform: 'node',
  external: (id) => !id.startsWith('.') && !id.startsWith('/') && !BUNDLED.test(id),
  plugins: [{ name: 'preload', writeBundle: ({ dir }) => copyFile('src/preload.cjs', `${dir}/preload.cjs`) }],
  output: {
    dir: 'dist',
    cleanDir: true,
    // All in one folder, so that import.meta.url has the same folder in each.
    chunkFileNames: '[name]-[hash].js',
  },
})
