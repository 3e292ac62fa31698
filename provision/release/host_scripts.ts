/** Programs for sh with `-eu`; `$1` is INSTALL in all of them. */

const begin = `
umask 022
fail() { echo "$1" >&2; exit 1; }`

/**
 * Standard input to a folder with a temporary name. What was left by a killed run goes first: nobody else is at work here,
 * or else loses. All of the input is read in any case, and what fails leaves nothing that takes room.
 */
const unpack = `
rm -rf -- ".incoming-$2" ".unpacking-$2."*
new=$(mktemp -d ".unpacking-$2.XXXXXX")
trap 'rm -rf -- "$new" ".incoming-$2"' EXIT
trap 'exit 143' HUP INT TERM
cat >".incoming-$2" || fail "cannot keep what arrives of $2"
echo "$3  .incoming-$2" | sha256sum --status -c - || fail "what arrived of $2 is not what was sent"
tar -xzpf ".incoming-$2" --no-same-owner -C "$new" || fail "cannot unpack $2"
rm -f -- ".incoming-$2"
chmod 755 "$new"`

/** The content reaches the disk before the name does. */
const giveName = `
sync -f "$new"
mv -T -- "$new" "$2"
sync .`

/** \`NAME SHA256\` */
export const receiveLayer = `${begin}
mkdir -p -- "$1/store"
cd -- "$1/store"
if [ -d "$2" ]; then cat >/dev/null; exit; fi
${unpack}
${giveName}`

/** \`ID SHA256 NODE MODULES\` */
export const receiveRelease = `${begin}
mkdir -p -- "$1/releases"
cd -- "$1/releases"
if [ -d "$2" ]; then cat >/dev/null; exit; fi
${unpack}
ln -s "../../store/$4" "$new/node"
ln -s "../../store/$5/node_modules" "$new/node_modules"
(cd "$new" && env -u NODE_OPTIONS node/bin/node -e '
  try { new (require("better-sqlite3"))(":memory:").close() }
  catch (error) { console.error(error.message); process.exit(1) }
') || fail "release $2 does not run on this host"
${giveName}`

const current = `
cd -- "$1"
[ -L current ] || [ ! -e current ] || fail "$1/current is not a link"
current=
if [ -L current ]; then current=$(readlink current) || fail "cannot read $1/current"; fi
current=\${current#releases/}`

/**
 * The record is written after the switch, so it never names what has not run. What a kill in between left out is made up
 * for before the next switch. A line that was cut off is ended first.
 */
const switchTo = `
note() {
  [ ! -e activations ] || [ -z "$(tail -c 1 activations)" ] || echo >>activations
  echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1" >>activations
}
noted() { [ -e activations ] && [ "$(tail -n 1 activations | cut -d ' ' -f 2)" = "$1" ]; }
switch_to() {
  [ -z "$current" ] || noted "$current" || note "$current"
  if [ "$current" != "$1" ]; then
    rm -f .current.new
    ln -s "releases/$1" .current.new
    mv -T .current.new current
    sync .
  fi
  noted "$1" || note "$1"
}`

/** \`ID\` */
export const activate = `${begin}${current}${switchTo}
[ -d "releases/$2" ] || fail "there is no release $2"
switch_to "$2"`

/**
 * Ids of releases that are there, the one that was activated last first; some stand there again and again. The times
 * beside them are words too, and no releases. There is no pipe: of a program that fails in one, as for want of memory,
 * nobody hears, and what is not in this list is removed.
 */
const activated = `
lines=
if [ -e activations ]; then lines=$(tac activations); fi
activated=
set -f
for id in $lines; do
  case $id in .* | */*) continue ;; esac
  if [ -d "releases/$id" ]; then activated="$activated $id"; fi
done
set +f`

export const rollBack = `${begin}${current}${switchTo}${activated}
previous=
for id in $activated; do
  if [ "$id" != "$current" ]; then
    previous=$id
    break
  fi
done
[ -n "$previous" ] || fail "there is no release to go back to"
switch_to "$previous"
echo "$previous"`

/** \`KEEP\`. What is removed loses its name first. */
export const prune = `${begin}${current}${activated}
rm -rf -- .current.new store/.incoming-* store/.unpacking-* store/.removing-* releases/.incoming-* releases/.unpacking-* releases/.removing-*
[ -n "$current" ] || exit 0
remove() {
  mv -T -- "$1/$2" "$1/.removing-$2"
  rm -rf -- "$1/.removing-$2"
  echo "$1/$2"
}
kept=" $current "
count=1
for id in $activated; do
  case $kept in *" $id "*) continue ;; esac
  [ "$count" -lt "$2" ] || break
  count=$((count + 1))
  kept="$kept$id "
done
for link in releases/*/node; do
  [ -e "$link" ] || [ -L "$link" ] || fail "cannot look into $1/releases"
  id=\${link#releases/}
  id=\${id%/node}
  case $kept in *" $id "*) continue ;; esac
  if [ -L "$link" ]; then remove releases "$id"; fi
done
used=' '
for id in $kept; do
  for link in node node_modules; do
    layer=$(readlink "releases/$id/$link") || fail "cannot read $1/releases/$id/$link"
    layer=\${layer#../../store/}
    used="$used\${layer%%/*} "
  done
done
for layer in store/node-* store/modules-*; do
  case $used in *" \${layer#store/} "*) continue ;; esac
  if [ -d "$layer" ]; then remove store "\${layer#store/}"; fi
done`
