import { resolve } from 'node:path'
import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Variables } from './environment.ts'
import { type FileVersions, readFileVersion } from './file-version.ts'
import type { ReadFile } from './read-file.ts'
import { decodeUtf8 } from './utf8.ts'

/** A place in a file, counted from 1. */
interface Position {
  readonly line: number
  readonly column: number
}

/** An issue of the text, found before the schema is applied. */
interface TextIssue extends Position {
  /** Empty for an issue of the YAML syntax. */
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** A YAML file as plain data, with every `${NAME}` and `file:` replaced. */
export interface ConfigurationDocument {
  /** Undefined if the text cannot be interpreted. */
  readonly value: unknown
  readonly issues: readonly TextIssue[]
  /** What `file:` names. */
  readonly files: FileVersions
  /** Returns the place of a path, or of its nearest ancestor that exists. */
  locate(path: readonly PropertyKey[]): Position
}

/** Values that aliases may add to a document. Each is checked by the schema, in about a microsecond. */
const MAX_ALIASED_VALUES = 250_000

/**
 * Reads YAML 1.2 (core schema). Issues never repeat the text: it may hold a secret.
 *
 * @param folder what a relative `file:` is relative to.
 */
export function readDocument(
  source: string,
  folder: string,
  variables: Variables,
  readFile: ReadFile,
): ConfigurationDocument {
  const lines = new LineCounter()
  // The library compares each key with all others of its map: 20,000 keys would take ten seconds.
  const options = { uniqueKeys: false, prettyErrors: false, logLevel: 'error' } as const
  const document = parseDocument(source, { lineCounter: lines, ...options })
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const positionOf = (node: Node): Position => positionAt(node.range?.[0] ?? 0)

  const issues: TextIssue[] = [...document.errors, ...document.warnings].map(({ pos, code }) => ({
    ...positionAt(pos[0]),
    path: [],
    message: SYNTAX_MESSAGES[code] ?? `invalid YAML (${code.toLowerCase().replaceAll('_', ' ')})`,
  }))

  // After an error, a key may be half a secret.
  const isSound = document.errors.length === 0
  const report = (node: Node, ancestors: readonly unknown[], message: string): void => {
    issues.push({ ...positionOf(node), path: isSound ? pathOf(ancestors) : [], message })
  }

  const files = new Map<string, string>()
  const readNamed = (path: string): Expanded => {
    // Before the content: a change in between then differs from this version.
    files.set(path, readFileVersion(path))
    return readText(path, readFile)
  }

  let isReadable = isSound
  const anchors = new Map<string, Node>()
  /** The target of each alias. The library would search the whole document for every alias. */
  const targets = new Map<Alias, Node>()
  const noteAnchor = (node: Scalar | YAMLMap | YAMLSeq): void => {
    if (node.anchor) anchors.set(node.anchor, node)
  }

  function reportDuplicateKeys({ items }: YAMLMap): void {
    const message = 'duplicate key; expected each key once'
    const names = new Set<string>()
    for (const { key } of items) {
      if (!isScalar(key)) continue
      const name = String(key.value)
      if (names.has(name)) issues.push({ ...positionOf(key), path: [], message })
      names.add(name)
    }
  }

  visit(document, {
    Map(_key, node) {
      noteAnchor(node)
      reportDuplicateKeys(node)
    },
    Seq: (_key, node) => noteAnchor(node),
    Pair(_key, pair, ancestors) {
      if (isScalar(pair.key)) return
      // The library would turn such a key into text, with everything in it: often an unquoted template.
      const message = 'non-string key; expected a string (quote values that start with { or [)'
      report((pair.key ?? pair.value) as Node, ancestors, message)
      isReadable = false
    },
    Alias(_key, node, ancestors) {
      const target = anchors.get(node.source)
      if (target) targets.set(node, target)
      if (target && !ancestors.includes(target)) return
      const message = target
        ? 'alias of a value that contains it; expected the anchor of a value that ends before'
        : 'alias of an unknown anchor; expected the anchor of a value above (quote text that starts with *)'
      report(node, [...ancestors, node], message)
      isReadable = false
    },
    Scalar(role, node: Scalar, ancestors) {
      noteAnchor(node)
      if (role === 'key') return
      if (typeof node.value === 'object' && node.value !== null) {
        report(node, [...ancestors, node], 'tag for a value that is not text; expected a value without a tag')
        // The schema would treat the members of bytes or of a date as settings.
        node.value = null
        return
      }
      if (typeof node.value !== 'string') return
      const expanded = expand(node.value, folder, variables, readNamed)
      if ('failure' in expanded) report(node, [...ancestors, node], expanded.failure)
      else node.value = expanded.value
    },
  })

  if (isReadable && countAliasedValues(document, targets) > MAX_ALIASED_VALUES) {
    const message = `aliases that add more than ${MAX_ALIASED_VALUES} values; expected fewer or smaller ones`
    issues.push({ line: 1, column: 1, path: [], message })
    isReadable = false
  }

  const locate = (path: readonly PropertyKey[]): Position => {
    let node: unknown = document.contents
    let position: Position = { line: 1, column: 1 }
    for (const part of path) {
      if (isAlias(node)) node = targets.get(node)
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part)
        if (!pair) break
        if (isScalar(pair.key)) position = positionOf(pair.key)
        node = pair.value
      } else if (isSeq(node)) {
        const item = node.items[Number(part)] as Node | undefined
        if (!item) break
        position = positionOf(item)
        node = item
      } else break
    }
    return position
  }

  return { value: isReadable ? toPlainData() : undefined, issues, files, locate }

  function toPlainData(): unknown {
    try {
      return document.toJS({ maxAliasCount: -1 })
    } catch {
      // YAML 1.1 has merge keys; the library throws if the merged value is not a map.
      issues.push({ line: 1, column: 1, path: [], message: 'invalid merge key (<<); expected settings written out' })
      return undefined
    }
  }
}

/** Returns how many values aliases add to a document that has no alias inside its own target. */
function countAliasedValues(document: Document, targets: ReadonlyMap<Alias, Node>): number {
  if (targets.size === 0) return 0
  const counts = new Map<unknown, number>()
  const count = (node: unknown): number => {
    if (isAlias(node)) return count(targets.get(node))
    if (isPair(node)) return count(node.value)
    if (!isCollection(node)) return 1
    const known = counts.get(node)
    if (known !== undefined) return known
    const total = node.items.reduce((sum: number, item) => sum + count(item), 1)
    counts.set(node, total)
    return total
  }
  let written = 0
  visit(document, {
    Value(role) {
      if (role !== 'key') written += 1
    },
  })
  return count(document.contents) - written
}

/** Returns the path from the root to the last of these nodes. */
function pathOf(nodes: readonly unknown[]): PropertyKey[] {
  return nodes.flatMap((node, depth): PropertyKey[] => {
    if (isPair(node)) return isScalar(node.key) ? [String(node.key.value)] : []
    return isSeq(node) ? [node.items.indexOf(nodes[depth + 1])] : []
  })
}

const SYNTAX_MESSAGES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'tab in the indentation; expected spaces',
  BAD_ALIAS: 'alias without a name; expected quotes around text that starts with *',
  BAD_INDENT: 'wrong indentation; expected the same indentation in all lines of a block',
  MULTIPLE_DOCS: 'several YAML documents; expected one',
}

type Expanded = { readonly value: string } | { readonly failure: string }

/** Replaces `file:path` by the content of a file, `${NAME}` by an environment variable, and `$${` by a literal `${`. */
function expand(
  written: string,
  folder: string,
  variables: Variables,
  readNamed: (path: string) => Expanded,
): Expanded {
  const missing: string[] = []
  const value = written.replace(/\$\$\{|\$\{([^}]*)\}/g, (whole, name?: string) => {
    if (name === undefined) return '${'
    const isName = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
    const variable = isName ? variables[name] : undefined
    // An invalid name may be part of a secret.
    if (variable === undefined) missing.push(isName ? `\${${name}} is not set` : 'invalid name of a variable')
    return variable ?? whole
  })
  if (missing.length > 0) {
    return { failure: `${missing.join(', ')}; expected an environment variable that is set ($\${ is a literal \${)` }
  }
  // Only text in the configuration names a file: a variable's content is never followed.
  return written.startsWith('file:') ? readNamed(resolve(folder, value.slice('file:'.length))) : { value }
}

function readText(path: string, readFile: ReadFile): Expanded {
  try {
    const content = decodeUtf8(readFile(path))
    if ('text' in content) return { value: content.text.replace(/\r?\n$/, '') }
    return { failure: `invalid UTF-8 in line ${content.invalidLine} of the file; expected text in UTF-8` }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { failure: `unreadable file (${code}); expected file: and the path of a readable file` }
  }
}
