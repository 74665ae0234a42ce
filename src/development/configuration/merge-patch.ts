type Members = Readonly<Record<string, unknown>>

/**
 * Applies a JSON merge patch (RFC 7396). Besides, an object in place of a list patches the entries of the list by id:
 * `{"apps":{"demo-app":{"lifetime":"1s"}}}`. There, null removes an entry, and an unknown id adds one (L20).
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) return patch
  if (Array.isArray(target)) return patchEntries(target, patch)
  const merged = new Map(Object.entries(isMembers(target) ? target : {}))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, mergePatch(merged.get(name), value))
  }
  return Object.fromEntries(merged)
}

function patchEntries(entries: readonly unknown[], patch: Members): unknown[] {
  const key = entries.some((entry) => isMembers(entry) && 'username' in entry) ? 'username' : 'id'
  const isPlain = entries.length > 0 && entries.every((entry) => typeof entry === 'string')
  const ids = entries.map((entry) => (isMembers(entry) ? entry[key] : entry))
  const kept = entries.flatMap((entry, index) => {
    const id = String(ids[index])
    if (!Object.hasOwn(patch, id)) return [entry]
    if (patch[id] === null) return []
    return [isPlain ? entry : mergePatch(entry, patch[id])]
  })
  const added = Object.entries(patch).filter(([id, value]) => value !== null && !ids.includes(id))
  return [...kept, ...added.map(([id, value]) => (isMembers(value) ? { [key]: id, ...value } : id))]
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
