import { quote } from './quote.ts'
import { giveName, lines, writeBeside } from './sh_files.ts'
import type { Site } from './site.ts'
import type { Step } from './steps.ts'

// Debian's services, by systemd where it runs and by init scripts elsewhere.

const systemd = '[ -d /run/systemd/system ]'

function isRunning(service: string): string {
  return `if ${systemd}; then systemctl is-active -q ${service} 2>/dev/null; else service ${service} status >/dev/null 2>&1; fi`
}

/** Says of a service whether it runs, and what the file says that `startService` wrote. */
export function serviceFacts(site: Site, name: string): string {
  const service = quote(name)
  return lines(
    `${isRunning(service)} && s=yes || s=no`,
    `echo ${service} "$s" "$(cat ${quote(stampOf(site, name))} 2>/dev/null)"`,
  )
}

/**
 * Starts a service anew and waits until it listens. What it was started with is written down after that, so that a run
 * that is killed before is made up for by the next.
 */
export function startService(
  site: Site,
  { name, listen, startWith }: { name: string; listen: string; startWith: string },
): Step {
  const service = quote(name)
  const port = Number(listen.slice(listen.lastIndexOf(':') + 1))
  const stamp = stampOf(site, name)
  // Linux, proc(5): local address, remote address, state 0A for one that listens
  const listens = `:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 0A `
  const isListening = `grep -qE '${listens}' /proc/net/tcp /proc/net/tcp6 2>/dev/null`
  const tooLong = (seconds: number, said: string) =>
    lines(
      '  tries=$((tries + 1))',
      `  if [ "$tries" -gt ${seconds * 2} ]; then`,
      `    echo ${quote(said)}`,
      `    ${logOf(name)}`,
      '    exit 1',
      '  fi',
      '  sleep 0.5',
    )
  const script = lines(
    'set -e',
    'log=$(mktemp)',
    `trap 'rm -f -- "$log"' EXIT`,
    // "restart" of Debian's init script makes no folder for the pid file; a daemon must not hold on to our output
    `of_init() { service ${service} "$1" </dev/null >"$log" 2>&1 || { cat "$log"; ${logOf(name)}; exit 1; }; }`,
    `if ${systemd}; then systemctl stop ${service}; else of_init stop; fi`,
    // one that listens now is not ours, which would be taken for it
    'tries=0',
    `while ${isListening}; do`,
    tooLong(5, `another program listens on the port of ${listen}: see ss -ltnp`),
    'done',
    `if ${systemd}; then`,
    `  systemctl -q enable ${service}`,
    `  systemctl reset-failed ${service} 2>/dev/null || true`,
    `  systemctl start ${service}`,
    'else',
    `  update-rc.d ${service} enable >/dev/null 2>&1 || true`,
    '  of_init start',
    'fi',
    'tries=0',
    `until ${isListening}; do`,
    tooLong(30, `${name} does not listen on ${listen}`),
    'done',
    // and not another one that came first
    `${isRunning(service)} || { echo ${quote(`${name} has ended again`)}; ${logOf(name)}; exit 1; }`,
    // what follows has a trap of its own
    'rm -f -- "$log"',
    `mkdir -p -m 0755 -- ${quote(`${site.install}/services`)}`,
    ...writeBeside(stamp, '0644'),
    giveName(stamp),
  )
  return { script, input: startWith, seconds: 120 }
}

/** Stops a service, now and at the next boot. It may be gone already. */
export function stopService(site: Site, name: string): Step {
  const service = quote(name)
  return {
    script: lines(
      `if ${systemd}; then`,
      `  [ -z "$(systemctl list-unit-files -q ${service}.service 2>/dev/null)" ] || systemctl -q disable --now ${service} || exit 1`,
      `elif [ -e ${quote(`/etc/init.d/${name}`)} ]; then`,
      `  service ${service} stop </dev/null >/dev/null 2>&1 || exit 1`,
      `  update-rc.d ${service} disable >/dev/null 2>&1 || exit 1`,
      'fi',
      `rm -f -- ${quote(stampOf(site, name))}`,
    ),
    seconds: 120,
  }
}

/** What a daemon said last. */
function logOf(name: string): string {
  return `journalctl -q -n 10 -u ${quote(name)} 2>/dev/null || tail -n 10 ${quote(`/var/log/prometheus/${name}.log`)} 2>/dev/null || true`
}

function stampOf({ install }: Site, name: string): string {
  return `${install}/services/${name}`
}
