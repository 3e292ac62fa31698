#!/bin/sh
# {{ managed }}
#
# {{ title }}. Ends with the status of the command: 75 where it is at work already, 124 where it took too long.
set -u
umask 027
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
  say 'cannot read {{ etc }}/environment'
  exit 78
fi
{{ environment }}

say 'starts'
# the command has a limit of its own, which comes first; what does not heed that is killed
timeout -k 60 {{ limit }} {{ install | sh }}/current/node/bin/node {{ install | sh }}/current/scripts/{{ command }}.mts{% for argument in arguments %} {{ argument | sh }}{% endfor %} "$@" </dev/null >>"$log" 2>&1 9>&-
status=$?
if [ "$status" = 137 ]; then
  # for the history: the next run finds one without an end, and learns from this that it was the deadline
  mkdir -p "$state/killed_at_deadline" && : >"$state/killed_at_deadline/{{ command }}"
  status=124
fi
# every run has a log file of its own beside this one
find "$logs" -maxdepth 1 -name '*_20??-??-??_??-??-??.log' -mtime +{{ log_days }} -delete 2>>"$log"
say "ends with status $status"
exit "$status"
