#!/bin/sh
# Put here by candlekeep: changes are undone by its next installation.
#
#     candlekeep.sh COMMAND [ARGUMENTS]
#
# A command by hand, as the jobs run it: candlekeep.sh db_recovery --check
set -u
umask 027
scripts=/opt/crypto-futures-agent/current/scripts
command=${1:-}
case $command in '' | *[!a-z_]*) command= ;; esac
if [ -z "$command" ] || [ ! -f "$scripts/$command.mts" ]; then
  echo "Usage: $0 COMMAND [ARGUMENTS], one of:" >&2
  for script in "$scripts"/*.mts; do
    script=${script##*/}
    echo "  ${script%.mts}" >&2
  done
  exit 64
fi
shift
if [ "$(id -u)" = 0 ]; then exec runuser -u candlekeep -- "$0" "$command" "$@"; fi
state=/var/lib/crypto-futures-agent
set -a
. /etc/crypto-futures-agent/environment
set +a
export HOME="$state"
export CANDLEKEEP_CONFIG=/etc/crypto-futures-agent/cheat_sheet.json
export NODE_COMPILE_CACHE="$state/compile_cache"
# where this user may not be, Node cannot start
[ -x . ] || cd /
exec /opt/crypto-futures-agent/current/node/bin/node "$scripts/$command.mts" "$@"
