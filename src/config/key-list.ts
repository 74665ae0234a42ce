import { isMap, isScalar, isSeq, parseDocument, stringify, type YAMLMap, type YAMLSeq } from 'yaml'

/** A key as the file contains it, without defaults or replacements. */
export type WrittenKey = Readonly<Record<string, string>>

/**
 * The list of keys in a configuration file. Editing it changes no other byte of the file. Some ways to write a list in
 * YAML are not supported: check the result. A method returns undefined if it cannot edit the list.
 */
export interface KeyList {
  readonly keys: readonly WrittenKey[]
  /** Returns the file with one more key at the end. */
  append(key: WrittenKey): string | undefined
  /** Returns the file with one of its keys, and the comments above it, in the first place. */
  moveFirst(index: number): string | undefined
}

/** A part of a text. */
interface Span {
  readonly start: number
  readonly end: number
}

interface Layout {
  /** The key's parts of the file, in order. */
  readonly spans: readonly Span[]
  /** Returns the text of one more key, to insert after the last. */
  write(key: WrittenKey): string
}

/** Reads the list of keys from a valid configuration file. */
export function readKeyList(source: string): KeyList {
  const document = parseDocument(source)
  const list = document.get('keys', true)
  const layout = isSeq(list) ? layOut(source, list) : undefined

  return {
    keys: (document.toJS() as { keys: WrittenKey[] }).keys,
    append(key) {
      const last = layout?.spans.at(-1)
      return layout && last && `${source.slice(0, last.end)}${layout.write(key)}${source.slice(last.end)}`
    },
    moveFirst: (index) => layout && reorder(source, layout.spans, index),
  }
}

/** Returns the list as YAML, for an operator to copy. */
export function formatKeyList(keys: readonly WrittenKey[]): string {
  return stringify({ keys }, { lineWidth: 0, defaultKeyType: 'PLAIN', defaultStringType: 'QUOTE_DOUBLE' })
}

/** Moves one of the spans to the first place. The text between the spans stays where it is. */
function reorder(source: string, spans: readonly Span[], first: number): string {
  const order = [first, ...spans.keys().filter((index) => index !== first)]
  const pieces = order.map((index, place) => {
    const between = source.slice(spans[place]?.end, spans[place + 1]?.start)
    return source.slice(spans[index]?.start, spans[index]?.end) + between
  })
  return source.slice(0, spans[0]?.start) + pieces.join('')
}

function layOut(source: string, list: YAMLSeq): Layout | undefined {
  const items = list.items.filter((item): item is YAMLMap => isMap(item))
  // An alias refers to a key that is written elsewhere.
  if (items.length < list.items.length) return undefined
  return list.flow ? layOutBraces(items) : layOutLines(source, items)
}

/** Lays out `keys: [{ … }, { … }]`. */
function layOutBraces(items: readonly YAMLMap[]): Layout {
  const name = items.at(-1)?.items[0]?.key
  // JSON stays JSON.
  const isQuoted = isScalar(name) && name.type === 'QUOTE_DOUBLE'
  return {
    spans: items.map(({ range }) => ({ start: range?.[0] ?? 0, end: range?.[1] ?? 0 })),
    write: (key) => `, { ${writePairs(key, isQuoted).join(', ')} }`,
  }
}

/** Lays out keys on lines that start with a dash. */
function layOutLines(source: string, items: readonly YAMLMap[]): Layout {
  const eol = source.includes('\r\n') ? '\r\n' : '\n'
  const spans: Span[] = []
  let indent = ''
  for (const { range } of items) {
    // Includes comments below the key that have its indentation.
    const [from, , to] = range ?? [0, 0, 0]
    const line = source.lastIndexOf('\n', source.lastIndexOf('-', from - 1)) + 1
    indent = /^[ \t]*(?=-)/.exec(source.slice(line, from))?.[0] ?? ''
    const text = source.slice(0, to).trimEnd().length
    spans.push({ start: aboveComments(source, line, spans.at(-1)?.end ?? 0), end: endOfLine(source, text) })
  }
  const isBraced = items.at(-1)?.flow === true
  return {
    spans,
    write(key) {
      const pairs = writePairs(key, false)
      return `${eol}${indent}- ${isBraced ? `{ ${pairs.join(', ')} }` : pairs.join(`${eol}${indent}  `)}`
    },
  }
}

function writePairs(key: WrittenKey, isQuoted: boolean): string[] {
  return Object.entries(key).map(
    ([name, value]) => `${isQuoted ? JSON.stringify(name) : name}: ${JSON.stringify(value)}`,
  )
}

/** Returns where the comments directly above a line begin, or where the line begins. */
function aboveComments(source: string, line: number, limit: number): number {
  const above = source.lastIndexOf('\n', line - 2) + 1
  return above > limit && /^[ \t]*#/.test(source.slice(above, line)) ? aboveComments(source, above, limit) : line
}

/** Returns the end of the line at an offset, before its line break. */
function endOfLine(source: string, place: number): number {
  const rest = /\r?\n/.exec(source.slice(place))
  return rest ? place + rest.index : source.length
}
