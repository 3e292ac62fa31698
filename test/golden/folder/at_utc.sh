#!/bin/sh
# Put here by candlekeep: changes are undone by its next installation.
#
#     at_utc.sh PERIOD OFFSET RETRIES JOB
#
# Runs JOB.sh where it is due: every PERIOD seconds, OFFSET seconds after a multiple of that, by UTC. What was due while
# the host was down is made up for at the next call. A run that failed is tried again an hour later, RETRIES times at the
# most; one that found the job at work already (75) is tried at the next call.
set -u
period=$1 offset=$2 retries=$3 job=$4
stamps='/srv/a b/var/lib/crypto-futures-agent'/schedule
logs='/srv/a b/var/log/crypto-futures-agent'

mkdir -p "$stamps" "$logs" || exit 1
# cron would mail it to nobody
exec 2>>"$logs/cron.log"
# held for as long as the job runs: the ticks meanwhile have nothing to do
exec 8>>"$stamps/.$job.lock"
flock -n 8 || exit 75

now=$(date +%s)
due=$(((now - offset) / period * period + offset))

# what was handled last, how it ended, how often it was tried, and when it ended
handled=0 status=0 tries=0 ended=0
if [ -r "$stamps/$job" ]; then
  read -r handled status tries ended <"$stamps/$job" || handled=0
fi
for number in "$handled" "$status" "$tries" "$ended"; do
  case $number in '' | *[!0-9]*) handled=0 status=0 tries=0 ended=0 ;; esac
done
# a clock that was ahead says nothing of what is due now
if [ "$handled" -gt "$now" ] || [ "$ended" -gt "$now" ]; then handled=0 status=0 tries=0 ended=0; fi

if [ "$handled" -ge "$due" ]; then
  [ "$status" != 0 ] && [ "$tries" -le "$retries" ] && [ $((now - ended)) -ge 3600 ] || exit 0
else
  tries=0
fi

'/srv/a b/opt/jobs'/"$job".sh
status=$?
[ "$status" != 75 ] || exit 75
printf '%s %s %s %s\n' "$due" "$status" $((tries + 1)) "$(date +%s)" >"$stamps/.$job.new" &&
  mv -f "$stamps/.$job.new" "$stamps/$job"
exit "$status"
