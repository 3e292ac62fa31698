import { day, hour, minute } from '../../../scripts/job/time.ts'
import { writeHistory } from './written_history.ts'

/** Where the month begins and ends: 30 days with a leap day, midnight UTC. */
export const monthStart = Date.parse('2028-02-10T00:00:00Z')
export const monthEnd = monthStart + 30 * day

/** A moment of the month: `on(3, 1, 30)` is 01:30 of its fourth day. */
export const on = (days: number, hours = 0, minutes = 0) =>
  monthStart + days * day + hours * hour + minutes * minute

/**
 * A history of 30 days, and of two days before, with incidents that are known: two days without a sync; a damaged database that
 * was recovered; a day without hourly backups, and a cold tier that failed for three days; a slow sync; a failed drill.
 */
export function writeKnownMonth(state: string): void {
  const history = writeHistory(state)
  // in the order of time, as jobs do
  const jobs: [at: number, write: () => void][] = []
  const at = (time: number, write: () => void) => void jobs.push([time, write])
  for (let d = -2; d < 30; d++) {
    const morning = on(d, 1)
    if (d === 10 || d === 11)
      at(morning, () => {
        history.sync(morning, on(d, 1, 2), { outcome: 'failed', summary: 'the exchange did not answer' })
      })
    else if (d === 20)
      at(morning, () => {
        history.sync(morning, on(d, 1, 31), { outcome: 'deadline', summary: 'stopped at its deadline' })
      })
    else if (d === 21)
      at(morning, () => history.sync(morning, on(d, 1, 10), { outcome: 'partly', counts: true }))
    else at(morning, () => history.sync(morning, on(d, 1, 1 + Math.abs(d % 3))))
    if (d === 20) at(on(d, 2), () => history.sync(on(d, 2), on(d, 2, 3)))
    for (let h = 0; h < 24; h++) {
      // nothing was taken from 04:30 to 16:30 of the day
      if (d === 15 && h >= 4 && h < 16) continue
      if (d === 5 && h >= 8 && h < 10) continue
      const time = on(d, h, 30)
      at(time, () => history.backup(time, ['hot'], { removedAt: time + 2 * day }))
    }
    const failed = d >= 7 && d < 10 ? ['cold'] : []
    at(on(d, 2), () => {
      history.backup(
        on(d, 2),
        ['hot', 'warm', 'cold'].filter(tier => !failed.includes(tier)),
        {
          failed,
          // proven again, much later
          verifiedAt: on(d + 5, 3),
        },
      )
    })
    for (const h of [0, 6, 12, 18]) {
      const damaged = d === 5 && h === 6
      at(on(d, h), () => {
        history.check(on(d, h), damaged ? 'critical' : 'ok', damaged ? { line: 'SQLite finds 3 faults' } : {})
      })
    }
    // a Sunday
    if ((on(d) / day + 4) % 7 === 0)
      at(on(d, 3), () => {
        const run = history.run({ job: 'restore_drill', from: on(d, 3), to: on(d, 3, 10) })
        history.drill(run, 'hot', on(d, 3), on(d, 3, 2))
        history.drill(run, 'warm', on(d, 3, 2), on(d, 3, 7))
        if (d > 15) history.drill(run, 'cold', on(d, 3, 7), on(d, 3, 9), 'its key is not here')
      })
  }
  at(on(5, 9, 20), () => {
    history.recovery({
      id: 'recovery_1',
      from: on(5, 9, 20),
      served: on(5, 9, 32),
      lost: 7,
      rpoMs: 110 * minute,
    })
  })
  for (const [, write] of jobs.sort(([a], [b]) => a - b)) write()
  history.close()
}
