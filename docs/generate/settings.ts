import { z } from 'zod'

/** One setting, as the schema describes it. */
export interface Setting {
  /** `bws.apps[].lifetime`. */
  readonly path: string
  readonly description: string
  /** Accepted values, in words. Undefined if `settings` says it. */
  readonly type: string | undefined
  /** The default as it would be written; undefined if there is none. */
  readonly default: unknown
  readonly isRequired: boolean
  /** Whether the value is a list of settings. */
  readonly isList: boolean
  /** Settings inside this one. */
  readonly settings: readonly Setting[]
}

/** Returns the settings of an object schema. */
export function readSettings(schema: z.ZodObject, parent = ''): Setting[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    return readSetting(field as z.ZodType, parent ? `${parent}.${name}` : name)
  })
}

function readSetting(schema: z.ZodType, path: string): Setting {
  const layers = unwrap(schema)
  const metas = layers.map((layer) => layer.meta() ?? {})
  const type = metas.map((meta) => meta.type).find((text) => typeof text === 'string')
  const description = metas.map((meta) => meta.description).find((text) => text !== undefined)
  const filled = layers.find((layer) => layer instanceof z.ZodDefault || layer instanceof z.ZodPrefault)
  const container = type === undefined ? findContainer(layers) : undefined
  const isList = container?.isList ?? false
  return {
    path,
    description: description ?? '',
    type,
    default: filled?.def.defaultValue,
    isRequired: !filled && !layers.some((layer) => layer instanceof z.ZodOptional),
    isList,
    settings: container ? readSettings(container.object, isList ? `${path}[]` : path) : [],
  }
}

/** Returns a schema and the schemas inside it, the outermost first. */
function unwrap(schema: z.ZodType): z.ZodType[] {
  return [schema, ...innerOf(schema).flatMap(unwrap)]
}

function innerOf(schema: z.ZodType): z.ZodType[] {
  if (schema instanceof z.ZodPipe) {
    const inner = schema.def.in instanceof z.ZodTransform ? schema.def.out : schema.def.in
    return [inner as z.ZodType]
  }
  const isWrapper =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  return isWrapper ? [schema.unwrap() as z.ZodType] : []
}

function findContainer(layers: readonly z.ZodType[]): { object: z.ZodObject; isList: boolean } | undefined {
  const last = layers.at(-1)
  if (last instanceof z.ZodObject) return { object: last, isList: false }
  if (last instanceof z.ZodArray && last.element instanceof z.ZodObject) return { object: last.element, isList: true }
  if (!(last instanceof z.ZodUnion)) return undefined
  const object = last.options.find((option): option is z.ZodObject => option instanceof z.ZodObject)
  return object && { object, isList: false }
}

/** Returns the path of each setting, and of the settings inside it. */
export function pathsOf(settings: readonly Setting[]): string[] {
  return settings.flatMap((setting) => [setting.path, ...pathsOf(setting.settings)])
}
