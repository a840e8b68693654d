r"""What the care of deployments runs on the board: POSIX shell, tools that busybox has too.

``$1`` is always the folder that slmdeploy owns; data come as rows of standard input, their
fields parted by tabs.
"""

from __future__ import annotations

from slmdeploy.device.push.scripts import TAGS

__all__ = ["HISTORY", "LIST", "REMOVE"]

LIST = (
    r"""
# $2: "all" to look at blobs, runtimes and remains as well. Says: "current NAME ROW" for each
# row; "file INODE LINKS BYTES PATH"; "runs TEXT" for lines of living processes that name a
# bundle or a runtime; "left PATH" of half folders; and what TAGS says.
cd "$1" 2>/dev/null || exit 0
for current in bundles/*/current; do
  [ -f "$current" ] || continue
  name=${current%/current}
  while read -r row; do echo "current ${name#bundles/} $row"; done <"$current"
done
where=bundles
[ "$2" != all ] || where='bundles runtimes blobs incoming'
find $where -type f -exec stat -c 'file %i %h %s %n' {} + 2>/dev/null
# What a process was started with, and what it has mapped: /proc tells both to its owner.
cat /proc/[0-9]*/cmdline /proc/[0-9]*/maps 2>/dev/null | tr '\0' '\n' |
  grep -F -e "$1/bundles/" -e "$1/runtimes/" | sort -u | sed 's/^/runs /'
[ "$2" = all ] || exit 0
find bundles runtimes -name '*.part-*' -prune 2>/dev/null | sed 's/^/left /'
"""
    + TAGS
    + "exit 0\n"
)

HISTORY = r"""
# $2: name of a bundle; $3: a tag; stdin: its rows, the current one first; none to forget it.
cd "$1/bundles/$2" || exit 1
cat >".current-$3" || { rm -f ".current-$3"; exit 1; }
if [ -s ".current-$3" ]; then
  sync ".current-$3" 2>/dev/null || sync
  mv -f ".current-$3" current
else
  rm -f ".current-$3" current
fi
sync . 2>/dev/null || sync
"""

REMOVE = r"""
# $2: a tag; stdin: "folder PATH", "blob PATH" (only if no folder has it), "file PATH". A
# folder loses its name first: what is left of a removal that was cut off looks like none.
cd "$1" || exit 1
tab=$(printf '\t')
while IFS=$tab read -r kind path; do
  case /$path/ in //*|*/../*) continue ;; esac
  case $kind in
  folder)
    [ -d "$path" ] || continue
    mv "$path" "$path.part-$2-old" || exit 1
    rm -rf "$path.part-$2-old"
    rmdir "${path%/*}" 2>/dev/null ;;
  blob)
    [ -z "$(find "$path" -type f -links 1 2>/dev/null)" ] ||
      rm -f "$path.stamp" "$path.chunks" "$path" ;;
  file) rm -rf "$path" ;;
  esac
done
sync bundles blobs 2>/dev/null
exit 0
"""
