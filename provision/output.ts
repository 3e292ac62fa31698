import type { Terminal } from '../scripts/job/terminal.ts'
import { formatDuration } from '../scripts/job/time.ts'
import type { Event, HostResult, TaskStatus, Tell } from './events.ts'

const width = 78

/** What happens, for people: in the manner of Ansible, each task as it ends on a host. */
export function tellPeople(terminal: Terminal, { check }: { check: boolean }): Tell {
  const { colour } = terminal
  const paint: Record<TaskStatus, (text: string) => string> = {
    ok: colour.green,
    changed: colour.yellow,
    skipped: colour.cyan,
    failed: colour.red,
  }
  const working = new Map<string, string>()
  let heading = ''
  const under = (task: string) => {
    if (task === heading) return
    heading = task
    terminal.report(`\n${`TASK [${task}] `.padEnd(width, '*')}`)
  }
  const draw = () => terminal.draw?.([...working].map(([host, text]) => `${host}: ${text}`).join('   '))
  return event => {
    switch (event.event) {
      case 'task': {
        working.delete(event.host)
        under(event.task)
        const word = event.status === 'changed' && check ? 'would change' : event.status
        const lines =
          event.status === 'ok'
            ? [`ok: [${event.host}]`]
            : event.changes.map(change => `${word}: [${event.host}] => ${change}`)
        if (event.status === 'failed') lines.push(`failed: [${event.host}]`)
        for (const line of lines) terminal.report(paint[event.status](line))
        draw()
        return
      }
      case 'diff':
        under('differences')
        terminal.report(`[${event.host}]\n${event.diff.trimEnd()}`)
        return
      case 'said':
        for (const line of event.output.trimEnd().split('\n')) terminal.report(`   ${line}`)
        return
      case 'doubt':
        terminal.aside(colour.yellow(`⚠️  [${event.host}] ${event.text}`))
        return
      case 'progress':
        working.set(event.host, event.text)
        draw()
        return
      case 'failure':
        working.delete(event.host)
        terminal.aside(colour.red(`❌ [${event.host}] ${event.message}`))
        if (event.hint !== undefined) terminal.aside(`   → ${event.hint}`)
        draw()
        return
      case 'request':
    }
  }
}

/** The last lines: a host a line. */
export function recap(results: HostResult[], terminal: Terminal): void {
  const { colour } = terminal
  const longest = Math.max(...results.map(({ host }) => host.length))
  terminal.report(`\n${'RECAP '.padEnd(width, '*')}`)
  for (const { host, status, ok, changed, unreachable, failed, skipped, seconds, release } of results) {
    const counts = `ok=${ok} changed=${changed} unreachable=${unreachable} failed=${failed} skipped=${skipped}`
    const paint = failed + unreachable > 0 ? colour.red : changed > 0 ? colour.yellow : colour.green
    const more = [formatDuration(seconds * 1000), ...(release === undefined ? [] : [release])].join('  ')
    const said = ['failed', 'unreachable', 'locked', 'interrupted'].includes(status) ? `  ${status}` : ''
    terminal.report(`${paint(host.padEnd(longest))} : ${counts}   ${more}${said}`)
  }
}

/** Events as lines of JSON; what is drawn on a terminal is none of them. */
export function tellMachines(write: (line: string) => void): Tell {
  return (event: Event) => {
    if (event.event !== 'progress' && event.event !== 'request') write(`${JSON.stringify(event)}\n`)
  }
}
