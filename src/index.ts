export { StartError } from './app/start-error.ts'
export { type CloseOptions, startTrimint, type Trimint, type TrimintOptions } from './app/start-trimint.ts'
