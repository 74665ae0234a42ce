export { StartError } from './app/start-error.ts'
export { startTrimint } from './app/start-trimint.ts'
export type { CloseOptions, Trimint, TrimintOptions } from './app/trimint.ts'
