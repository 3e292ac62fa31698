#!/bin/sh
# Put here by candlekeep: changes are undone by its next installation.
#
# Audit of the last month, once: every day at 04:00 UTC it is seen to. Ends with the status of the command: 75 where it is at work already, 124 where it took too long.
set -u
umask 027
if [ "$(id -u)" = 0 ]; then exec runuser -u candlekeep -- "$0" "$@"; fi
state=/var/lib/crypto-futures-agent
logs=/var/log/crypto-futures-agent

mkdir -p "$state/locks" "$logs" || exit 1
log=$logs/sla_audit.log
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) sla_audit $1" >>"$log"; }

# held by this process and its children, and given back by the kernel
exec 9>>"$state/locks/sla_audit.cron"
if ! flock -n 9; then
  say 'is at work already'
  exit 75
fi

if [ ! -r /etc/crypto-futures-agent/environment ]; then
  say 'cannot read its environment file'
  exit 78
fi
set -a
. /etc/crypto-futures-agent/environment
set +a
export HOME="$state"
export CANDLEKEEP_CONFIG=/etc/crypto-futures-agent/cheat_sheet.json
export NODE_COMPILE_CACHE="$state/compile_cache"
cd /

uptime() {
  read -r seconds _ </proc/uptime
  echo "${seconds%.*}"
}

say 'starts'
started=$(uptime)
# the command has a limit of its own, which comes first; what does not heed that is killed
timeout -k 60 660 /opt/crypto-futures-agent/current/node/bin/node /opt/crypto-futures-agent/current/scripts/sla_audit.mts --month --unless-kept "$@" </dev/null >>"$log" 2>&1
status=$?
if [ "$status" = 137 ] && [ $(($(uptime) - started)) -ge 660 ]; then
  # for the history: the next run finds one without an end, and learns from this that it was the deadline
  mkdir -p "$state/killed_at_deadline" && : >"$state/killed_at_deadline/sla_audit"
  status=124
fi
# every run has a log file of its own beside this one
find "$logs" -maxdepth 1 -name '*_20??-??-??_??-??-??*.log' -mtime +90 -delete 2>>"$log"
say "ends with status $status"
exit "$status"
