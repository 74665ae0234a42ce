/** A Biometric Class ID: identifies the templates of one person in a storage. */
export interface Bcid {
  readonly storage: string
  /** Signed 32 bit. */
  readonly partition: number
  /** Signed 32 bit. Real clients send negative values. */
  readonly classId: number
}

const FORM = /^([A-Za-z0-9_-]+)[./](-?[0-9]+)[./](-?[0-9]+)$/

/**
 * Parses `storage.partition.classid`, where each separator may be `.` or `/` (B7). Returns undefined for anything else.
 */
export function parseBcid(text: string): Bcid | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const [, storage = '', partitionDigits, classIdDigits] = match
  const partition = parseInt32(partitionDigits)
  const classId = parseInt32(classIdDigits)
  return partition === undefined || classId === undefined ? undefined : { storage, partition, classId }
}

/** Formats a BCID for the claim: separated by `/`, numbers without leading zeros (B7, B25). */
export function formatBcid({ storage, partition, classId }: Bcid): string {
  return `${storage}/${partition}/${classId}`
}

/** Returns `storage/partition`, the part of a BCID that an app is authorised for (B8). */
export function partitionOf({ storage, partition }: Pick<Bcid, 'storage' | 'partition'>): string {
  return `${storage}/${partition}`
}

/** Parses `storage.partition` or `storage/partition` into the format of {@link partitionOf}. */
export function parsePartition(text: string): string | undefined {
  const bcid = parseBcid(`${text}/0`)
  return bcid && partitionOf(bcid)
}

function parseInt32(digits: string | undefined): number | undefined {
  const value = Number(digits)
  // `| 0` changes a value beyond 32 bits, and turns -0 into 0.
  const wrapped = value | 0
  return value === wrapped ? wrapped : undefined
}
