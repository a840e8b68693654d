r"""What a push runs on the board: POSIX shell, and tools that busybox has too.

Each script takes its data as arguments and on standard input, never in its text; ``$1``
is always the folder that slmdeploy owns. Rows of standard input have fields parted by
tabs; names of files hold none.

Two tricks keep the tools few. ``dd bs=1 skip=N count=0`` on a file that is standard input
only moves to byte N, for whoever reads on. ``dd iflag=fullblock`` takes exactly so many
bytes of a stream and leaves the rest for the next.
"""

from __future__ import annotations

__all__ = ["FIND", "FINISH", "LOCATE", "RECEIVE", "REHASH", "SURVEY", "TAGS", "UNKNOWN"]

UNKNOWN = "unknown"
"""What the scripts say for a digest on a board that has no tool for it."""

# openssl first: it uses the processor's instructions for SHA-256 where there are any.
_DIGEST = r"""
if command -v openssl >/dev/null 2>&1; then
  digest() { openssl dgst -sha256 -r "$@"; }
elif command -v sha256sum >/dev/null 2>&1; then
  digest() { sha256sum "$@"; }
else
  digest() { cat >/dev/null; echo unknown; }
fi
tab=$(printf '\t')
"""

_ANY = f"\nany='{'?' * 64}'  # matches the names of blobs\n"

_STAMP = r"""
# What of a blob changes when its content does: inode, bytes, time. "NAME INODE BYTES TIME".
stamps() { TZ=UTC0 stat -c '%n %i %s %y' "$@" 2>/dev/null; }
"""

TAGS = (
    _ANY
    + r"""
# Below our folder: says "tag TAG STATE OWNER" of each push, then "part BYTES PATH". One that
# has written nothing for a minute counts as dead; what hangs in it is stopped by who takes it.
for folder in incoming/*; do
  [ -d "$folder" ] || continue
  state=dead owner=
  [ -z "$(find "$folder" -type f -mmin -1 2>/dev/null)" ] || state=alive
  [ ! -f "$folder/owner" ] || read -r owner <"$folder/owner"
  echo "tag ${folder##*/} $state $owner"
  find "$folder" -type f -name "$any" \
    -exec stat -c 'part %s %n' {} + 2>/dev/null
done
"""
)

SURVEY = (
    _DIGEST
    + _STAMP
    + r"""
# $2: "write" to make what is missing; stdin: "blob SHA", "file SHA PATH", "current PARENT".
# Says: "df ROW", "lacks TOOL", "have SHA", "blob SHA INODE BYTES TIME", "stamp SHA ...",
# "absent PATH", "current PARENT ROW", "part BYTES PATH", "tag TAG STATE OWNER", "indexes".
home=$1
if [ "$2" = write ]; then
  mkdir -p "$home/blobs" "$home/incoming" && : >"$home/incoming/.try" &&
    rm -f "$home/incoming/.try" || exit 1
  # What pushes of the days before left when they were cut off. In minutes, since toybox takes
  # "-mtime +0" for older than a moment.
  set -- "$home"/incoming/*
  if [ -e "$1" ]; then
    find "$home/incoming" -type f -mmin +1440 -exec rm -f {} + 2>/dev/null
    find "$home/incoming" -depth -mindepth 1 -type d -mmin +1440 -exec rmdir {} + 2>/dev/null
  fi
  set -- "$home"/bundles/*/*.part-* "$home"/runtimes/*/*.part-*
  for left; do
    [ ! -e "$left" ] || find "$left" -prune -mmin +1440 -exec rm -rf {} +
  done
fi
there=$home
while [ ! -d "$there" ]; do there=${there%/*}; there=${there:-/}; done
df -Pk "$there" 2>/dev/null | sed 's/^/df /'
for tool in awk dd find stat tar; do
  command -v $tool >/dev/null 2>&1 || echo "lacks $tool"
done
dd iflag=fullblock count=0 </dev/null 2>/dev/null || echo "lacks dd with iflag=fullblock"
cd "$home" 2>/dev/null || exit 0
set --
while IFS=$tab read -r kind first second; do
  case $kind in
  blob) [ ! -f "blobs/$first" ] || { echo "have $first"; set -- "$@" "$first"; } ;;
  file)
    [ "$second" -ef "blobs/$first" ] 2>/dev/null || cmp -s "$second" "blobs/$first" 2>/dev/null ||
      echo "absent $second" ;;
  current)
    [ ! -f "$first/current" ] || { read -r row <"$first/current" && echo "current $first $row"; } ;;
  esac
done
if [ $# -gt 0 ]; then
  cd blobs || exit 1
  stamps "$@" | sed 's/^/blob /'
  for sha; do [ ! -f "$sha.stamp" ] || { read -r row <"$sha.stamp"; echo "stamp $sha $row"; }; done
  cd ..
fi
for index in blobs/*.chunks; do [ ! -f "$index" ] || { echo indexes; break; }; done
"""
    + TAGS
    + "exit 0\n"
)

REHASH = (
    _DIGEST
    + _STAMP
    + r"""
# $2: "write" or "look"; stdin: names of blobs. Says "NAME DIGEST BYTES"; one that is whole
# gets its stamp.
mode=$2
cd "$1/blobs" || exit 1
while read -r name; do
  set -- $(digest <"$name")
  [ "$1$mode" != "${name}write" ] ||
    stamps "$name" | { read -r _ row && echo "$row" >"$name.stamp"; }
  set -- "$1" $(wc -c <"$name")
  echo "$name $1 $2"
done
exit 0
"""
)

FIND = r"""
# stdin: digests of chunks. Says where each is: "DIGEST OFFSET BYTES blobs/SHA".
cd "$1" || exit 1
set -- -
for index in blobs/*.chunks; do [ ! -f "${index%.chunks}" ] || set -- "$@" "$index"; done
[ $# -gt 1 ] || exit 0
awk 'FILENAME == "-" || FILENAME == "" { wanted[$1]; next }
  ($1 in wanted) { delete wanted[$1]; blob = FILENAME; sub(/[.]chunks$/, "", blob)
    print $1, $2, $3, blob }' "$@"
"""

LOCATE = (
    _DIGEST
    + r"""
# $2: a file below $1; stdin: bytes of its chunks, one after the other. Says their digests.
cd "$1" || exit 1
exec 3<"$2" || exit 1
while read -r bytes; do
  set -- $(dd bs="$bytes" count=1 <&3 2>/dev/null | digest)
  echo "$1"
done
"""
)

RECEIVE = (
    _DIGEST
    + _ANY
    + r"""
# $2: tag of this push; $3: bytes of the plan, 0 if it is there as a file; $4: owner; stdin: the
# plan, then all data.
# Rows of the plan: "adopt TAG SHA"; "aside SHA"; "tar BYTES"; "blob SHA BYTES MODE KEPT
# PIECES", then PIECES rows "copy FILE FROM BYTES" or "send BYTES". MODE may be "-".
# Says "got SHA DIGEST" of each, when it is on the disk.
cd "$1" || exit 1
in=incoming/$2
LC_ALL=C
export LC_ALL
mkdir -p "$in" || exit 1

write() {  # appends to $part; dd's words are shown only if it failed
  said=$(dd "$@" 2>&1 >>"$part") || { echo "$said" | sed -n '/^dd/p' >&2; exit 3; }
}
blocks() {  # $1: bytes of standard input to append to $part, $2: option of dd
  [ $(($1 / 131072)) = 0 ] || write bs=131072 count=$(($1 / 131072)) $2
  [ $(($1 % 131072)) = 0 ] || write bs=$(($1 % 131072)) count=1 $2
}
grow() {  # $1: rows of the plan; appends to $part, and says a line whenever it has grown
  rows=$1
  while [ "$rows" -gt 0 ] && read -r what first from bytes <&3; do
    rows=$((rows - 1))
    case $what in
    copy) { dd bs=1 skip="$from" count=0 2>/dev/null; blocks "$bytes" ''; } <"$first" ;;
    send)
      while [ "$first" -gt 16777216 ]; do
        blocks 16777216 iflag=fullblock
        echo
        first=$((first - 16777216))
      done
      blocks "$first" iflag=fullblock ;;
    esac
    echo
  done
}
follow() {  # passes $part on while it grows, and has it written to the disk meanwhile
  exec 4<"$part"
  flusher=
  while read -r _; do
    dd bs=131072 <&4 2>/dev/null
    [ -n "$flusher" ] && kill -s 0 "$flusher" 2>/dev/null || {
      dd if=/dev/null of="$part" conv=notrunc,fsync >/dev/null 2>&1 &
      flusher=$!
    }
  done
  dd bs=131072 <&4 2>/dev/null
}
adopt() {  # a part of a push that was cut off; what still writes to it is stopped first
  # A late write would land behind what was counted. A writer has its tag among its arguments,
  # which no other process has that got its number since.
  old=incoming/$1 pid=
  [ ! -f "$old/writer" ] || read -r pid <"$old/writer"
  if [ -n "$pid" ] && { tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$1"; } 2>/dev/null; then
    kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null
  fi
  rm -f "$old/writer"
  if [ -f "$old/$2" ]; then mv -f "$old/$2" "$in/$2"
  else mv -f "$old/small/$2" "$in/$2"; fi || exit 4
  # What is left may be other parts, which somebody may want.
  [ -n "$(find "$old" -type f -name "$any")" ] || rm -rf "$old"
}

flush_small() {  # each of a few; of many all at once, since each costs a commit of the disk's
  set -- "$in"/small/*
  if [ $# -gt 16 ]; then sync -f "$in" 2>/dev/null || sync
  else sync "$@" 2>/dev/null || sync; fi
}

flushing=
echo $$ >"$in/writer" && echo "$4" >"$in/owner" || exit 3
sync "$in/owner" 2>/dev/null &  # after a power cut, who comes back is known by it
part=$in/plan
[ "$3" = 0 ] || { : >"$part" && blocks "$3" iflag=fullblock; } || exit 3
exec 3<"$in/plan"
while read -r op sha bytes mode kept count <&3; do
  part=$in/$sha
  case $op in
  adopt) adopt "$sha" "$bytes" ;;
  aside) mv -f "$part" "$part.bad" || exit 4 ;;
  tar)
    mkdir -p "$in/small" && part=$in/archive && : >"$part" || exit 3
    blocks "$sha" iflag=fullblock
    (cd "$in/small" && exec tar -x -p -m -o -f ../archive) || exit 3
    rm -f "$part"
    flush_small &
    flushing=$! ;;
  blob)
    [ "$kept" != 0 ] || : >"$part" || exit 3
    said=$(grow "$count" | follow | digest)
    [ "$(wc -c <"$part")" -eq "$bytes" ] || { echo "short $sha $(wc -c <"$part")"; exit 3; }
    [ "$mode" = - ] || chmod "$mode" "$part" || exit 3
    dd if=/dev/null of="$part" conv=notrunc,fsync 2>/dev/null || sync
    echo "got $sha ${said%% *}" ;;
  esac
done
[ -z "$flushing" ] || wait "$flushing"
[ ! -d "$in/small" ] || (
  cd "$in/small" || exit 1
  case $(digest </dev/null) in
  unknown) for name in *; do echo "got $name unknown"; done ;;
  *) for name in *; do set -- "$@" "$name"; done; shift 4
    digest "$@" | while read -r said name; do echo "got ${name#\*} $said"; done ;;
  esac
)
exit 0
"""
)

FINISH = (
    _STAMP
    + r"""
# $2: tag of this push; stdin: "blob SHA", its "chunk SHA OFFSET BYTES"; "folder PLACE", its
# "file SHA PATH"; "current PARENT DIGEST WHEN RUNTIME". What has a name is whole and on
# the disk, even if the power is cut right after. A folder is made beside its place and
# then renamed: there is the whole of it, or none.
set -e
cd "$1"
in=incoming/$2 tag=$2 build= stored= made=
tab=$(printf '\t')
# Only what is ours: a sync of all disks waits for whatever else the board writes.
flush() { sync "$@" 2>/dev/null || sync; }
finish() {
  [ -n "$build" ] || return 0
  made="$made ${place%/*}"
  if [ -e "$place" ]; then
    mv "$place" "$place.part-$tag-old"
    mv "$build" "$place"
    rm -rf "$place.part-$tag-old"
  else
    mv "$build" "$place"
  fi
  build=
}
current() {  # the newest first; what is first already stays as it is
  row=
  [ ! -f "$1/current" ] || read -r row <"$1/current" || :
  case $row in "$2 "*" $4") return 0 ;; esac
  {
    echo "$2 $3 $4"
    [ ! -f "$1/current" ] || while read -r row; do
      case $row in "$2 "*) ;; *) echo "$row" ;; esac
    done <"$1/current"
  } >"$1/.current-$tag"
  flush "$1/.current-$tag"
  made="$made $1"
  mv -f "$1/.current-$tag" "$1/current"
}
mkdir -p "$in" blobs
[ ! -d "$in/small" ] || mv -f "$in"/small/* blobs/
cat >"$in/rows"
# The shell reads byte by byte; awk does not.
awk -F "$tab" '$1 == "blob" { index_ = "blobs/" $2 ".chunks" }
  $1 == "chunk" { print $2, $3, $4 >index_ }' "$in/rows"
sed "/^chunk$tab/d" "$in/rows" >"$in/few"
while IFS=$tab read -r kind first second third fourth; do
  case $kind in
  blob)
    [ ! -f "$in/$first" ] || mv -f "$in/$first" "blobs/$first"
    stored="$stored $first" ;;
  folder)
    finish
    place=$first
    build=$place.part-$tag
    mkdir -p "$build" ;;
  file)
    case $second in */*) mkdir -p "$build/${second%/*}" ;; esac
    ln "blobs/$first" "$build/$second" 2>/dev/null || cp -p "blobs/$first" "$build/$second" ;;
  current) finish; current "$first" "$second" "$third" "$fourth" ;;
  esac
done <"$in/few"
finish
flush blobs $made
[ -z "$stored" ] || (
  cd blobs
  stamps $stored | while read -r name row; do echo "$row" >"$name.stamp"; done
)
rm -rf "$in"
"""
)
