import { formatDuration, formatTime, minute } from '../job/time.ts'
import { count } from '../job/words.ts'
import type { Judged } from './audit.ts'
import type { Facts, Known } from './facts.ts'
import { lengthOf, type Span } from './spans.ts'

/** What has to be known of the figures to take them for what they are; a sentence each. */
export function notesOf(facts: Known, judged: Judged, asked: Span, covered: Span, now: number): string[] {
  const { availability, rpo, rto, syncs } = judged
  const { begunAt } = facts
  const notes: string[] = []
  if (begunAt === undefined) notes.push('The history is empty: there is nothing to judge.')
  else if (begunAt >= Math.min(asked.to, now))
    notes.push(`The history begins ${formatTime(begunAt)}, after this time: there is nothing to judge.`)
  else if (begunAt > asked.from)
    notes.push(`The history begins ${formatTime(begunAt)}: only what came after that is judged.`)
  if (asked.to > now) notes.push(`The time is not over: it is judged up to ${formatTime(now)}.`)
  if (availability.unknownMs > 0)
    notes.push(
      `For ${formatDuration(availability.unknownMs)} nothing is known of the freshness, since there had been no sync yet: that time is not judged for availability.`,
    )
  if (availability.damaged.length > 0)
    notes.push(
      'Damage counts from when it was first seen. How long it had been there before that nobody knows: the time is a lower bound.',
    )
  const looked = facts.soundness.some(({ at }) => at < covered.to)
  if (lengthOf([covered]) > 0 && !looked)
    notes.push('No health check has looked at the database: that it was sound is not known, but assumed.')
  if (rpo.bare.length > 0)
    notes.push(
      `For ${formatDuration(lengthOf(rpo.bare))} there was no proven backup: its age is counted from where the history begins.`,
    )
  const bad = facts.backups.filter(({ failedAt }) => failedAt !== null && isIn(failedAt, covered))
  if (bad.length > 0)
    notes.push(
      `${count(bad.length, 'backup')} turned out to be bad: each counts up to the moment when that was found.`,
    )
  const nowhere = facts.backupRuns.filter(
    ({ startedAt, outcome, tiers }) =>
      isIn(startedAt, covered) && tiers === undefined && outcome !== 'running',
  )
  if (nowhere.length > 0)
    notes.push(
      `${count(nowhere.length, 'backup run')} came to no tier at all, and ${nowhere.length === 1 ? 'is' : 'are'} in the figures of none; the last: ${nowhere.at(-1)?.summary}.`,
    )
  if (rto.recoveries.length === 0 && rto.drills.length === 0 && lengthOf([covered]) > 0)
    notes.push('There was neither a recovery nor a drill: how long one takes is not known.')
  if (rto.failedTiers.length > 0)
    notes.push(`The last drill could not restore from: ${rto.failedTiers.join(', ')}.`)
  const killed = syncs.runs.filter(({ outcome }) => outcome === 'killed').length
  if (killed > 0) notes.push(`${count(killed, 'sync')} died: how long it would have taken is not known.`)
  return [...notes, ...clockNotes(facts, covered, now)]
}

/** A clock that was put back by more than what corrections usually are makes figures doubtful. */
const usualCorrection = minute

function clockNotes({ runs }: Facts, covered: Span, now: number): string[] {
  const notes: string[] = []
  const backwards = runs.filter(
    ({ startedAt, finishedAt }) => finishedAt !== null && finishedAt < startedAt && isIn(startedAt, covered),
  ).length
  if (backwards > 0)
    notes.push(
      `The clock was put back during ${count(backwards, 'run')}: how long ${backwards === 1 ? 'it' : 'they'} took is not known.`,
    )
  const jumps = runs.filter(({ startedAt }, i) => {
    const before = runs[i - 1]?.startedAt ?? startedAt
    return before - startedAt > usualCorrection && (isIn(before, covered) || isIn(startedAt, covered))
  }).length
  if (jumps > 0)
    notes.push(
      `The clock was put back between runs, ${jumps === 1 ? 'once' : `${jumps} times`}: what was noted before that may be dated wrongly.`,
    )
  const ahead = runs.filter(({ startedAt }) => startedAt > now).length
  if (ahead > 0)
    notes.push(
      `${count(ahead, 'run')} ${ahead === 1 ? 'is' : 'are'} dated in the future, by a clock that was ahead: left out.`,
    )
  return notes
}

function isIn(moment: number, { from, to }: Span): boolean {
  return moment >= from && moment < to
}
