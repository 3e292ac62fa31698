/**
 * As SQL, of a row of `runs`: that it is a sync which counts. It was about everything that is configured, and enough of it is
 * complete; how fresh the data is, is measured from the end of the last one.
 */
export const countingSync =
  "job = 'daily_sync' AND finished_at IS NOT NULL AND json_valid(figures) AND figures ->> 'counts'"
