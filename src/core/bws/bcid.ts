/** A Biometric Class ID: whose templates, where. */
export interface Bcid {
  readonly storage: string
  /** Signed 32 bit. */
  readonly partition: number
  /** Signed 32 bit; negative ones are real traffic. */
  readonly classId: number
}

const FORM = /^([A-Za-z0-9_-]+)[./](-?[0-9]+)[./](-?[0-9]+)$/

/** Reads `storage.partition.classid`, where each separator may be `.` or `/` (B7); undefined for anything else. */
export function parseBcid(text: string): Bcid | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const [, storage = '', partitionDigits, classIdDigits] = match
  const partition = parseInt32(partitionDigits)
  const classId = parseInt32(classIdDigits)
  return partition === undefined || classId === undefined ? undefined : { storage, partition, classId }
}

/** The form of the claim: always with `/`, numbers without leading zeros (B7, B25). */
export function formatBcid({ storage, partition, classId }: Bcid): string {
  return `${storage}/${partition}/${classId}`
}

/** The part of a BCID that an app is given access to: `storage/partition` (B8). */
export function partitionOf({ storage, partition }: Pick<Bcid, 'storage' | 'partition'>): string {
  return `${storage}/${partition}`
}

/** Reads `storage.partition` or `storage/partition` into the form of {@link partitionOf}. */
export function parsePartition(text: string): string | undefined {
  const bcid = parseBcid(`${text}/0`)
  return bcid && partitionOf(bcid)
}

function parseInt32(digits: string | undefined): number | undefined {
  const value = Number(digits)
  // `| 0` wraps what does not fit, and turns -0 into 0.
  const wrapped = value | 0
  return value === wrapped ? wrapped : undefined
}
