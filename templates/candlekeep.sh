#!/bin/sh
# {{ managed }}
#
#     candlekeep.sh COMMAND [ARGUMENTS]
#
# A command by hand, as the jobs run it: candlekeep.sh db_recovery --check
set -u
umask 027
scripts={{ install | sh }}/current/scripts
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
{% if switches -%}
if [ "$(id -u)" = 0 ]; then exec runuser -u {{ user | sh }} -- "$0" "$command" "$@"; fi
{% endif -%}
state={{ state | sh }}
{{ environment }}
# where this user may not be, Node cannot start
[ -x . ] || cd /
exec {{ install | sh }}/current/node/bin/node "$scripts/$command.mts" "$@"
