import { day, lastTimeOfDay } from '../job/time.ts'
import type { Span } from './spans.ts'

/** A day of a daily job: from when it was due until it was due again. `over`: the job has had its time. */
export type DueDay = Span & { over: boolean }

/** The days that begin within `covered`, for a job that is due at `time` (`01:00`, UTC) and may take `takesMs`. */
export function dueDays(time: string, takesMs: number, covered: Span): DueDay[] {
  const days: DueDay[] = []
  const first = lastTimeOfDay(time, covered.from)
  for (let from = first < covered.from ? first + day : first; from < covered.to; from += day)
    days.push({ from, to: from + day, over: from + takesMs <= covered.to })
  return days
}
