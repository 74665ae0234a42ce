/** Whether tests that prove by numbers use the full ones (minutes) instead of a sample (seconds). */
export const FULL = process.env.TRIMINT_TEST_FULL === '1'

/** Whether a run leaves behind all that can be searched for secrets: everything logs at level trace, every store is a file. */
export const TRACED = process.env.TRIMINT_TEST_TRACED === '1'
