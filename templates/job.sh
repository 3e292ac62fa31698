#!/bin/sh
# {{ managed }}
#
# {{ title }}. Ends with the status of the command: 75 where it is at work already, 124 where it took too long.
set -u
umask 027
{% if switches -%}
if [ "$(id -u)" = 0 ]; then exec runuser -u {{ user | sh }} -- "$0" "$@"; fi
{% endif -%}
state={{ state | sh }}
logs={{ logs | sh }}

mkdir -p "$state/locks" "$logs" || exit 1
log=$logs/{{ name }}.log
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) {{ name }} $1" >>"$log"; }

# held by this process and its children, and given back by the kernel
exec 9>>"$state/locks/{{ name }}.cron"
if ! flock -n 9; then
  say 'is at work already'
  exit 75
fi

if [ ! -r {{ etc | sh }}/environment ]; then
  say 'cannot read its environment file'
  exit 78
fi
{{ environment }}
cd /

uptime() {
  read -r seconds _ </proc/uptime
  echo "${seconds%.*}"
}

say 'starts'
started=$(uptime)
# the command has a limit of its own, which comes first; what does not heed that is killed
timeout -k {{ grace }} {{ limit }} {{ install | sh }}/current/node/bin/node {{ install | sh }}/current/scripts/{{ command }}.mts{% for argument in arguments %} {{ argument | sh }}{% endfor %} "$@" </dev/null >>"$log" 2>&1
status=$?
if [ "$status" = 137 ] && [ $(($(uptime) - started)) -ge {{ limit }} ]; then
  # for the history: the next run finds one without an end, and learns from this that it was the deadline
  mkdir -p "$state/killed_at_deadline" && : >"$state/killed_at_deadline/{{ command }}"
  status=124
fi
# every run has a log file of its own beside this one
find "$logs" -maxdepth 1 -name '*_20??-??-??_??-??-??*.log' -mtime +{{ log_days }} -delete 2>>"$log"
say "ends with status $status"
exit "$status"
