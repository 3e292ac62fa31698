import type { Terminal } from './terminal.ts'
import { formatDuration, second } from './time.ts'
import { formatBytes } from './words.ts'

/** How far a run is: things done out of a known number, and what they brought. */
export type Progress = {
  /** `done` things of the total are done; `amount` units have come of them (rows, bytes). */
  at(done: number, amount: number): void
  /** Shown beside the figures until the next call: what is being waited for. `''` takes it away. */
  note(text: string): void
  end(): void
}

type ProgressOptions = { total: number; things: string; units: string; terminal: Terminal }

const redrawEvery = 80
const plainEvery = 10 * second

/** A bar that is redrawn in place on a terminal; elsewhere a plain line every ten seconds. */
export function showProgress({ total, things, units, terminal }: ProgressOptions): Progress {
  const started = performance.now()
  const every = terminal.draw === undefined ? plainEvery : redrawEvery
  let shown = terminal.draw === undefined ? started : 0
  let state = { done: 0, amount: 0, note: '' }

  const show = (change: Partial<typeof state>) => {
    state = { ...state, ...change }
    const now = performance.now()
    if (now - shown < every && change.note === undefined) return
    shown = now
    const figures = progressFigures({ ...state, total, things, units, elapsed: now - started })
    if (terminal.draw === undefined) terminal.aside(figures)
    else terminal.draw(`${bar(state.done / total)} ${figures}`)
  }
  return {
    at: (done, amount) => show({ done, amount }),
    note: note => {
      if (note !== state.note) show({ note })
    },
    end: () => terminal.draw?.(''),
  }
}

type BytesOptions = { what: string; total: number; terminal: Terminal }

/** A bar for bytes that are moved, as `showProgress`; it goes when all of them are. */
export function showBytes({ what, total, terminal }: BytesOptions): (bytes: number) => void {
  const started = performance.now()
  const every = terminal.draw === undefined ? plainEvery : redrawEvery
  let shown = terminal.draw === undefined ? started : 0
  let done = 0
  return bytes => {
    done += bytes
    const now = performance.now()
    if (done >= total) terminal.draw?.('')
    if (done >= total || now - shown < every) return
    shown = now
    const figures = byteFigures({ what, done, total, elapsed: now - started })
    if (terminal.draw === undefined) terminal.aside(figures)
    else terminal.draw(`${bar(done / total)} ${figures}`)
  }
}

/** `writing warm · 20.1 MB of 44.2 MB · 80.4 MB/s · 0.3 s left`; `elapsed` in milliseconds. */
export function byteFigures(given: { what: string; done: number; total: number; elapsed: number }): string {
  const { what, done, total, elapsed } = given
  const rate = elapsed > 0 ? (done / elapsed) * second : 0
  return [
    what,
    `${formatBytes(done)} of ${formatBytes(total)}`,
    ...(rate > 0
      ? [`${formatBytes(rate)}/s`, `${formatDuration(((total - done) / rate) * second)} left`]
      : []),
  ].join(' · ')
}

type Figures = {
  done: number
  total: number
  amount: number
  things: string
  units: string
  note: string
  elapsed: number
}

/** `34/60 symbols · 20,123 rows · 5,120 rows/s · 12.0 s left`; `elapsed` in milliseconds. */
export function progressFigures({ done, total, amount, things, units, note, elapsed }: Figures): string {
  const rate = elapsed > 0 ? Math.round((amount / elapsed) * second) : 0
  return [
    `${done}/${total} ${things}`,
    `${amount.toLocaleString('en')} ${units}`,
    ...(rate > 0 ? [`${rate.toLocaleString('en')} ${units}/s`] : []),
    ...(done > 0 && done < total ? [`${formatDuration((elapsed / done) * (total - done))} left`] : []),
    ...(note === '' ? [] : [note]),
  ].join(' · ')
}

function bar(share: number): string {
  const width = 24
  const full = Math.round(Math.min(1, share) * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}
