/**
 * What runs on a host while the installer is connected, as text for sh (dash): it reads requests from standard input and
 * answers on standard output.
 *
 * A request is a line `BYTES_OF_SCRIPT BYTES_OF_INPUT SECONDS`, the script and its input. An answer is a line
 * `TOKEN STATUS BYTES` and what the script printed. `read` takes one byte after the other and `head -c` no byte too
 * many, so nobody reads what is meant for the next. A host that hears nothing for `silence` seconds ends by itself, and
 * the lock with it, however the connection was lost.
 */
export function hostLoop({ token, lock, holder, silence }: HostLoop): string {
  const takeLock = `
if exec 9<>${lock} && flock -n 9; then
  : >${lock}
  echo ${holder} >${lock}
else
  echo "${token} locked $(cat ${lock})"
  exit 0
fi`
  return `
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022
${lock === undefined ? '' : takeLock}
echo "${token} ready"
while request=$(timeout --foreground ${silence} sh -c 'IFS= read -r line && printf %s "$line"') && set -- $request && [ $# = 3 ]; do
  script=$(head -c "$1"; echo .)
  output=$(
    head -c "$2" | {
      timeout -k 5 "$3" sh -c "\${script%.}" 2>&1 9>&-
      status=$?
      cat >/dev/null
      exit $status
    }
    echo ".$?"
  )
  status=\${output##*.}
  output=\${output%.*}
  echo "${token} $status \${#output}"
  printf %s "$output"
done
`
}

/** `lock` and `holder` are words of sh, quoted; without `lock` none is taken: what only looks is in nobody's way. */
export type HostLoop = { token: string; lock: string | undefined; holder: string; silence: number }

/**
 * The command for ssh that runs `program` by sh as root. The user's login shell, whatever it is, sees letters only; the
 * program reads its requests from standard input, so the password of sudo is never asked for.
 */
export function asRoot(program: string): string {
  const inner = `p=$(echo ${base64(program)} | base64 -d)
if [ "$(id -u)" = 0 ]; then exec sh -c "$p"; fi
exec sudo -n -- sh -c "$p"`
  return `sh -c "$(echo ${base64(inner)} | base64 -d)"`
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
