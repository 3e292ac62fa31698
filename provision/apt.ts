import { quote } from './quote.ts'
import type { Step } from './steps.ts'

/** Above the time for which another apt is waited for: mirrors are slow at times. */
const seconds = 900

/** `held`: those whose services apt does not start, as they are to be configured first. */
export function installPackages(names: string[], waitSeconds: number, held: readonly string[]): Step {
  const here = held.filter(name => names.includes(name))
  return aptStep(
    [
      ...(here.length === 0 ? [] : [holdBack(here)]),
      'apt update',
      // a file of a package that stands there already is ours
      `apt install -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-install-recommends -- ${list(names)}`,
    ],
    waitSeconds,
  )
}

/**
 * Tells apt not to start some services (Debian's invoke-rc.d and deb-systemd-invoke ask this program), as long as this
 * shell lives: one that was killed leaves nothing that counts. A program of somebody else's stays.
 */
export function holdBack(names: string[], policy = '/usr/sbin/policy-rc.d'): string {
  // invoke-rc.d asks by the name of an init script, deb-systemd-invoke by that of a unit
  const asked = names.flatMap(name => [name, `${name}.service`])
  return [
    `policy=${quote(policy)}`,
    'if [ ! -e "$policy" ] || grep -q "for candlekeep" "$policy"; then',
    '  made=$policy',
    '  {',
    "    echo '#!/bin/sh'",
    "    echo '# for candlekeep, while it installs'",
    `    echo 'case "$1" in ${asked.join('|')}) [ ! -d "/proc/'$$'" ] || exit 101 ;; esac'`,
    "    echo 'exit 0'",
    '  } >"$policy.new"',
    '  chmod 755 "$policy.new"',
    '  mv -T -- "$policy.new" "$policy"',
    'fi',
  ].join('\n')
}

/**
 * Takes packages away that nothing else has come to need since: what would go with them keeps them there. Where that
 * cannot be told, nothing is taken away.
 */
export function purgePackages(names: string[], waitSeconds: number): Step {
  const script = [
    'alone=',
    `for name in ${list(names)}; do`,
    // somebody may have taken it away
    '  dpkg-query -W -- "$name" >/dev/null 2>&1 || continue',
    '  plan=$(LC_ALL=C apt-get -s purge -- "$name" 2>&1) || { echo "$plan"; exit 1; }',
    '  others=',
    `  for other in $(echo "$plan" | sed -n -E 's/^(Purg|Remv) ([^ ]+).*/\\2/p'); do`,
    `    case ${quote(` ${names.join(' ')} `)} in *" $other "*) ;; *) others="$others $other" ;; esac`,
    '  done',
    '  if [ -n "$others" ]; then',
    '    echo "$name stays, for$others"',
    '    apt-mark auto "$name" >/dev/null || exit 1',
    '  else',
    '    alone="$alone $name"',
    '  fi',
    'done',
    // names of Debian's packages are words of sh as they stand
    'if [ -n "$alone" ]; then apt purge -- $alone; fi',
  ]
  return aptStep(script, waitSeconds)
}

/**
 * A script with a function `apt`, which is apt-get that asks nothing; what it said last comes back. Another apt on the
 * host, such as unattended-upgrades, is waited for: apt's own `DPkg::Lock::Timeout` does not cover the locks of its lists
 * and of what it downloads (apt 2.6).
 */
function aptStep(script: string[], waitSeconds: number): Step {
  return {
    script: [
      'export DEBIAN_FRONTEND=noninteractive',
      // the services of a package must not hold on to what is read from here
      'log=$(mktemp) || exit 1',
      'made=',
      `trap 'rm -f -- "$log" \${made:+"$made"}' EXIT`,
      'waited=0',
      'apt() {',
      '  until apt-get -q -y -o Acquire::Retries=3 "$@" </dev/null >"$log" 2>&1; do',
      '    status=$?',
      `    if ! grep -q 'Could not get lock' "$log" || [ "$waited" -ge ${waitSeconds} ]; then`,
      '      tail -n 15 "$log"',
      '      exit "$status"',
      '    fi',
      '    sleep 2',
      '    waited=$((waited + 2))',
      '  done',
      '}',
      ...script,
      'tail -n 15 "$log"',
    ].join('\n'),
    seconds: seconds + waitSeconds,
  }
}

function list(words: string[]): string {
  return words.map(word => quote(word)).join(' ')
}
