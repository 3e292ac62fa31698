import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import sheet from '../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { siteOf } from '../../provision/site_of.ts'
import { CronClock } from '../support/cron_clock.ts'
import { layOutJobs, type Started, startsOf } from '../support/cron_jobs.ts'
import { type Boot, due, expectedOf, localTime, minutesOf, textOf } from '../support/cron_oracle.ts'
import { skipWithoutHosts, startHost } from '../support/hosts.ts'
import { runs } from '../support/properties.ts'
import { seededRandom } from '../support/random.ts'

// That jobs are started by UTC on hosts in any zone: by Debian's cron, which goes by the clock of the host.

const random = seededRandom(t)
const between = (from: number, to: number) => from + Math.floor(random() * (to - from + 1))

/** A night with all that is due in it, up to 03:00 UTC or that hour. */
function nightOf(date: string, hour = 3): Boot {
  const midnight = minutesOf(`${date}T00:00`)
  return { on: midnight - between(1, 14), off: midnight + runs(hour, 9) * 60 + between(1, 14) }
}

/** Off at 01:00 UTC, when the candles are due, on again some time of that day. */
function offAtOne(date: string): Boot[] {
  const midnight = minutesOf(`${date}T00:00`)
  const on = midnight + between(61, 22 * 60)
  return [
    { on: midnight + between(16, 29), off: midnight + between(31, 59) },
    { on, off: on + 40 },
  ]
}

/** At any moments. */
function anyBoots(from: string, count: number): Boot[] {
  let now = minutesOf(`${from}T00:00`)
  return Array.from({ length: count }, () => {
    const on = now + between(1, 30 * 60)
    now = on + between(1, 4 * 60)
    return { on, off: now }
  })
}

// clocks are changed at 01:00 UTC in London, at midnight in Sao Paulo, which was 03:00 and 02:00 UTC, elsewhere never
const nights = [nightOf('2026-03-29'), nightOf('2026-10-25')]
const oldNights = [nightOf('2018-11-04', 4), nightOf('2019-02-17')]
// and what is a night like any other there
const anyNights = nights.slice(0, runs(1, 2))
const after = [...offAtOne('2026-10-28'), ...anyBoots('2026-10-30', runs(0, 8))]
const zones: Record<string, Boot[]> = {
  'Etc/UTC': [...anyNights, ...after],
  'Europe/London': [...nights, ...after],
  'Asia/Kolkata': [...anyNights, ...after],
  'America/Sao_Paulo': [...oldNights, ...anyNights, ...after],
}

type Lived = { starts: Record<string, Started[]>; naive: string[]; complaints: string }

/** All boots of a host in that zone. */
async function live(test: Test, zone: string, boots: Boot[]): Promise<Lived> {
  const name = zone.replace(/.*\//, '').replace('_', '-').toLowerCase()
  const host = await startHost(test, { name, zone })
  const site = siteOf(sheet, [], { name, under: undefined, secrets: {} })
  const clock = await CronClock.on(host)
  await layOutJobs(host, site)
  const [hours, minutes] = sheet.schedule.daily_sync.split(':').map(Number)
  writeFileSync(
    join(host.root, 'etc/cron.d/naive'),
    `CRON_TZ=UTC\n${minutes} ${hours} * * * root date -u +\\%FT\\%H:\\%M >>/srv/naive\n`,
  )
  for (const { on, off } of boots) {
    await clock.start(on * 60)
    await clock.goTo(off * 60)
    await host.powerOff()
    await host.powerOn()
  }
  const textAt = (path: string) =>
    existsSync(join(host.root, path)) ? readFileSync(join(host.root, path), 'utf8') : ''
  return {
    starts: Object.fromEntries(Object.keys(due).map(job => [job, startsOf(host, site, job)])),
    naive: textAt('srv/naive').split('\n').filter(Boolean),
    complaints: textAt(`${sheet.paths.logs}/cron.log`),
  }
}

await t.test('Jobs are started by UTC in any zone', { skip: skipWithoutHosts() }, async group => {
  group.equal(sheet.schedule.hot_snapshot_minutes, 60, 'what is said here of snapshots')
  group.equal(sheet.schedule.health_check_hours, 6, 'and of health checks, is so')
  const lives = await Promise.all(
    Object.entries(zones).map(async ([zone, boots]) => ({
      zone,
      boots,
      ...(await live(group, zone, boots)),
    })),
  )
  for (const { zone, boots, starts, naive, complaints } of lives) {
    await group.test(`in ${zone}, across its changes of clocks, and after it was down`, async test => {
      for (const [job, isDue] of Object.entries(due)) {
        const found = starts[job] ?? []
        const times = found.map(({ at }) => textOf(Math.floor(at / 60)))
        test.same(times, expectedOf(isDue, boots), `${job}, each time once`)
        const locals = found.map(({ at }) => localTime(at, zone))
        test.same(
          found.map(({ local }) => local),
          locals,
          'by the clock of that zone',
        )
      }
      test.equal(complaints, '', 'and nothing is complained of')
      // the reason why at_utc.sh is there: Debian's cron does not know CRON_TZ
      const wanted = boots
        .flatMap(({ on, off }) => Array.from({ length: off - on }, (_, i) => textOf(on + 1 + i)))
        .filter(time => due['daily_sync']?.(time))
      if (zone === 'Etc/UTC') test.same(naive, wanted, 'there a plain crontab does as well')
      else test.notSame(naive, wanted, 'a plain crontab does not')
    })
  }
})
