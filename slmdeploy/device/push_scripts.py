r"""What a push runs on the board: POSIX shell, and tools that busybox has too.

Each script takes its data as arguments and on standard input, never in its text. Rows
of standard input have fields parted by tabs; names of files hold none.
"""

from __future__ import annotations

__all__ = ["LINK", "STORE", "SURVEY", "UNKNOWN", "VERIFY"]

UNKNOWN = "unknown"

_DIGEST = r"""
if command -v sha256sum >/dev/null 2>&1; then
  digest() { sha256sum <"$1"; }
elif command -v openssl >/dev/null 2>&1; then
  digest() { openssl dgst -sha256 -r <"$1"; }
else
  digest() { echo unknown; }
fi
tab=$(printf '\t')
"""

SURVEY = (
    _DIGEST
    + r"""
# $1: our folder; $2: "write" to make what is missing; stdin: "blob SHA" and "file SHA PATH".
# Says: "df ROW", "blob SHA BYTES DIGEST" for each that is here, "absent PATH".
home=$1
if [ "$2" = write ]; then
  mkdir -p "$home/blobs" "$home/incoming" || exit 1
  # What pushes of the days before left when they were cut off.
  find "$home/incoming" -type f -mtime +0 -exec rm -f {} + 2>/dev/null
  find "$home/incoming" -depth -type d -mtime +0 -exec rmdir {} + 2>/dev/null
  find "$home/bundles" "$home/runtimes" -name '*.part-*' -mtime +0 -prune \
    -exec rm -rf {} + 2>/dev/null
fi
there=$home
while [ ! -d "$there" ]; do there=${there%/*}; there=${there:-/}; done
df -Pk "$there" 2>/dev/null | sed 's/^/df /'
while IFS=$tab read -r kind sha path; do
  blob=$home/blobs/$sha
  case $kind in
  blob)
    [ ! -f "$blob" ] || { set -- $(digest "$blob"); echo "blob $sha $(wc -c <"$blob") $1"; } ;;
  file)
    [ "$home/$path" -ef "$blob" ] 2>/dev/null || cmp -s "$home/$path" "$blob" 2>/dev/null ||
      echo "absent $path" ;;
  esac
done
exit 0
"""
)

VERIFY = (
    _DIGEST
    + r"""
# $1: folder of new blobs; stdin: their names. Says: "NAME DIGEST".
while read -r name; do
  set -- "$1" $(digest "$1/$name")
  echo "$name ${2:-missing}"
done
"""
)

STORE = r"""
# $1: our folder; $2: folder of new blobs; stdin: their names.
# What has a name is on the disk, even if the power is cut right after.
set -e
sync
while read -r name; do mv -f "$2/$name" "$1/blobs/$name"; done
rmdir "$2"
"""

LINK = r"""
# $1: our folder; $2: a tag of this push; stdin: "folder PATH", then its "file SHA PATH".
# A folder is made beside its place and then renamed: there is the whole of it, or none.
set -e
home=$1 tag=$2 build=
tab=$(printf '\t')
finish() {
  [ -n "$build" ] || return 0
  if [ -e "$place" ]; then
    mv "$place" "$place.part-$tag-old"
    mv "$build" "$place"
    rm -rf "$place.part-$tag-old"
  else
    mv "$build" "$place"
  fi
}
while IFS=$tab read -r kind first second; do
  case $kind in
  folder)
    finish
    place=$home/$first
    build=$place.part-$tag
    mkdir -p "$build" ;;
  file)
    case $second in */*) mkdir -p "$build/${second%/*}" ;; esac
    ln "$home/blobs/$first" "$build/$second" 2>/dev/null ||
      cp -p "$home/blobs/$first" "$build/$second" ;;
  esac
done
finish
sync
"""
