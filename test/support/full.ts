/** Whether tests that prove by numbers use the full ones (minutes) instead of a sample (seconds). */
export const FULL = process.env.TRIMINT_TEST_FULL === '1'
