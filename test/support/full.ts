/** Whether tests that need volume run for minutes instead of seconds. */
export const FULL = process.env.TRIMINT_TEST_FULL === '1'

/** Whether everything is kept for the leak search: services log at level trace and every store is a file. */
export const TRACED = process.env.TRIMINT_TEST_TRACED === '1'
