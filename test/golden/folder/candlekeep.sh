#!/bin/sh
# Put here by candlekeep: changes are undone by its next installation.
#
#     candlekeep.sh COMMAND [ARGUMENTS]
#
# A command by hand, as the jobs run it: candlekeep.sh db_recovery --check
set -u
umask 027
scripts='/srv/a b/opt/crypto-futures-agent'/current/scripts
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
state='/srv/a b/var/lib/crypto-futures-agent'
set -a
. '/srv/a b/etc/crypto-futures-agent'/environment
set +a
export HOME="$state"
export CANDLEKEEP_CONFIG='/srv/a b/etc/crypto-futures-agent'/cheat_sheet.json
export NODE_COMPILE_CACHE="$state/compile_cache"
# where this user may not be, Node cannot start
[ -x . ] || cd /
exec '/srv/a b/opt/crypto-futures-agent'/current/node/bin/node "$scripts/$command.mts" "$@"
