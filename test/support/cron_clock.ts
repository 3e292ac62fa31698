import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Host } from './hosts.ts'

/** Its time of modification is the time for cron and for all that cron starts. */
const clock = '/srv/clock/now'
const faketime = '/usr/lib/*-linux-gnu/faketime/libfaketime.so.1'

/** Cron wakes one second into a minute. */
const second = 5

/**
 * A real cron on a host, and the clock of both it and its jobs: that stands still, and goes on from minute to minute when
 * told to. All times are in seconds since the epoch.
 */
export class CronClock {
  readonly #host: Host
  readonly #environment: string[]
  #minute = 0

  private constructor(host: Host, environment: string[]) {
    this.#host = host
    this.#environment = environment
  }

  /** For a host without a cron of its own; Debian's own jobs, which may well wait for a while, are taken off it. */
  static async on(host: Host): Promise<CronClock> {
    const library = (await host.run(`rm -f /etc/crontab /etc/cron.d/*; ls ${faketime}`)).trim()
    const environment = [
      `LD_PRELOAD=${library}`,
      // the file is read at each call
      'FAKETIME=%',
      `FAKETIME_FOLLOW_FILE=${clock}`,
      'FAKETIME_NO_CACHE=1',
      // cron sees by the times of its files whether they have changed
      'NO_FAKE_STAT=1',
    ]
    mkdirSync(join(host.root, 'srv/clock'))
    writeFileSync(join(host.root, clock), '')
    // cron's jobs have it from pam_env: no crontab need know of it
    appendFileSync(join(host.root, 'etc/environment'), `\n${environment.join('\n')}\n`)
    return new CronClock(host, environment)
  }

  /** Starts cron in the course of a minute: it begins with the next. */
  async start(minute: number): Promise<void> {
    this.#set(minute)
    await this.#host.run(`env ${this.#environment.join(' ')} cron`)
  }

  /** Goes on to a minute, one by one, each when cron and its jobs are done with the one before. */
  async goTo(minute: number): Promise<void> {
    const cron = await this.#pid()
    let slept = await settled(cron, 0)
    while (this.#minute < minute) {
      this.#set(this.#minute + 60)
      // it sleeps by the true time, but a signal wakes it
      process.kill(cron, 'SIGHUP')
      slept = await settled(cron, slept + 1)
    }
  }

  #set(minute: number): void {
    this.#minute = minute
    utimesSync(join(this.#host.root, clock), minute + second, minute + second)
  }

  /** The number of the host's cron here; the one that it has there it writes down only after it went on by itself. */
  async #pid(): Promise<number> {
    for (let tries = 0; tries < 3000; tries++) {
      const inside = readFileSync(join(this.#host.root, 'run/crond.pid'), 'utf8').trim()
      const found = this.#found(inside)
      if (found !== undefined) return found
      await delay(10)
    }
    throw new Error('There is no cron on the host')
  }

  #found(inside: string): number | undefined {
    const { dev, ino } = statSync(join(this.#host.root, clock))
    const found = readdirSync('/proc').find(pid => {
      try {
        const seen = statSync(`/proc/${pid}/root${clock}`)
        return seen.dev === dev && seen.ino === ino && statusOf(pid, 'NSpid').split('\t').at(-1) === inside
      } catch {
        // no process, or one that is gone
        return false
      }
    })
    return found === undefined ? undefined : Number(found)
  }
}

/** Waits until a process without children sleeps, and has done so `times` times; gives how often it has. */
async function settled(pid: number, times: number): Promise<number> {
  for (let before = -1, tries = 0; tries < 30_000; tries++) {
    const idle = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8') === ''
    const asleep = statusOf(pid, 'State').startsWith('S')
    const slept = Number(statusOf(pid, 'voluntary_ctxt_switches'))
    // seen twice: the end of a child may just have been about to wake it
    if (idle && asleep && slept >= times && slept === before) return slept
    before = slept
    await delay(1)
  }
  throw new Error('cron does not come to rest')
}

function statusOf(pid: number | string, name: string): string {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find(text => text.startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim() ?? ''
}
