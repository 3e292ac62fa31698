import { quote } from './quote.ts'
import type { Step } from './steps.ts'

/** Above the time for which another apt is waited for: mirrors are slow at times. */
const seconds = 900

/**
 * Runs apt-get with each of these arguments in turn, asking nothing; what the last one said comes back. Another apt on the
 * host, such as unattended-upgrades, is waited for: apt's own `DPkg::Lock::Timeout` does not cover the locks of its lists
 * and of what it downloads (apt 2.6).
 */
export function aptStep(runs: string[][], waitSeconds: number): Step {
  return {
    script: [
      'export DEBIAN_FRONTEND=noninteractive',
      // the services of a package must not hold on to what is read from here
      'log=$(mktemp) || exit 1',
      `trap 'rm -f -- "$log"' EXIT`,
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
      ...runs.map(args => `apt ${args.map(word => quote(word)).join(' ')}`),
      'tail -n 15 "$log"',
    ].join('\n'),
    seconds: seconds + waitSeconds,
  }
}
