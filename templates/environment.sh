set -a
. {{ etc | sh }}/environment
set +a
export HOME="$state"
export CANDLEKEEP_CONFIG={{ etc | sh }}/cheat_sheet.json
export NODE_COMPILE_CACHE="$state/compile_cache"
