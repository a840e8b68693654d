r"""What the doctor runs on a board: one script, one round trip, everything it reads.

POSIX shell and tools that busybox has too. A process costs 20 to 40 ms on a slow board,
so files are read by one ``grep``, and the shell itself does what it can. The script
changes nothing there. It says sections, each after a line ``== NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["READ", "split_sections"]

READ = r"""
# $1: our folder there; ~/.slmdeploy if empty.
export LC_ALL=C
ours=${1:-$HOME/.slmdeploy}
section() { printf '== %s\n' "$1"; }
# Hundredths of a second since the board was started.
now() { read -r up rest 2>/dev/null </proc/uptime && echo "${up%.*}${up#*.}"; }

section clock
date '+%s %N'
began=$(now)
began=${began:-0}
section processes
grep -asH '' /proc/stat /proc/[0-9]*/stat 2>/dev/null
section self
echo "$$ $PPID"

section system
set -- $(uname -mr)
machine=$2
echo "$1 $machine"
id -un
for loader in /lib/ld-linux-aarch64.so.1 /lib/ld-linux-armhf.so.3 \
  /lib64/ld-linux-x86-64.so.2 /lib/ld-linux.so.2 /lib/ld-musl-*.so.1; do
  [ ! -e "$loader" ] || echo "loader $loader"
done
section getconf
getconf -a 2>/dev/null || { ldd --version 2>&1 || :; }
section pages
while read -r key value rest; do
  [ "$key" != KernelPageSize: ] || { echo "$value"; break; }
done 2>/dev/null </proc/self/smaps

section libstdcxx
library=
for file in /usr/lib/"$machine"-linux-gnu/libstdc++.so.6 /lib/"$machine"-linux-gnu/libstdc++.so.6 \
  /usr/lib64/libstdc++.so.6 /usr/lib/libstdc++.so.6; do
  [ -n "$library" ] || [ ! -e "$file" ] || library=$file
done
if [ -z "$library" ]; then
  PATH=$PATH:/sbin:/usr/sbin
  library=$(ldconfig -p 2>/dev/null | sed -n 's/.*libstdc++\.so\.6 .*=> //p' | head -n 1)
fi
if [ -n "$library" ]; then
  echo "$library"
  # busybox's grep sees a line only up to its first zero byte.
  tr '\0' '\n' <"$library" 2>/dev/null | grep -ao '^[A-Z]*_[13]\.[34][0-9.]*$'
fi

section python
python3 -V 2>&1
for name in python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14; do
  ! command -v "$name" >/dev/null 2>&1 || echo "also ${name#python}"
done
for there in /usr/lib/python3/dist-packages /usr/lib/python3*/site-packages \
  /usr/local/lib/python3*/dist-packages /usr/local/lib/python3*/site-packages \
  "$HOME"/.local/lib/python3*/site-packages; do
  for found in "$there"/numpy-[0-9]*-info; do
    [ ! -e "$found" ] || echo "numpy $found"
  done
done

section files
grep -asH '' /proc/cpuinfo /proc/meminfo /proc/swaps /proc/loadavg /proc/uptime /proc/self/mounts \
  /proc/device-tree/model /proc/device-tree/compatible \
  /sys/firmware/devicetree/base/model /sys/firmware/devicetree/base/compatible \
  /etc/os-release /etc/nv_tegra_release \
  /sys/class/thermal/thermal_zone*/trip_point_*_type \
  /sys/class/thermal/thermal_zone*/trip_point_*_temp 2>/dev/null

section home
there=$ours
while [ ! -d "$there" ]; do there=${there%/*}; there=${there:-/}; done
echo "ours $ours"
[ -w "$there" ] && echo "writable $there" || echo "read-only $there"
for found in "$ours"/blobs/*; do
  [ ! -f "$found" ] || echo "blob ${found##*/}"
done
for found in "$ours"/runtimes/*/*; do
  case $found in *.part-*) continue ;; esac
  [ ! -d "$found" ] || echo "folder ${found#"$ours"/runtimes/}"
done
for found in "$ours"/runtimes/*/provisioned.json; do
  [ ! -f "$found" ] || { printf 'record '; tr -d '\n' <"$found"; echo; }
done
for found in "$ours"/lease/[0-9]*; do
  case ${found##*/} in *[!0-9]*) continue ;; esac
  [ -e "$found.over" ] || echo "lease ${found##*/}"
done
[ ! -e "$ours/settings/saved" ] || sed 's/^/saved /' "$ours/settings/saved"
section disk
df -Pk "$there" 2>/dev/null

section tools
for tool in awk cat chmod cmp cp dd df find grep head kill ln ls mkdir mkfifo mv openssl readlink \
  rm rmdir sed setsid sha256sum sleep sort stat sync tail tar tr wc; do
  command -v "$tool" >/dev/null 2>&1 && echo "has $tool" || echo "lacks $tool"
done
section sudo
if command -v sudo >/dev/null 2>&1; then sudo -n true </dev/null >/dev/null 2>&1; echo $?
else echo none; fi

section later
# On a slow board the rest took long enough.
[ $(($(now) - began)) -ge 30 ] 2>/dev/null || sleep 0.3 2>/dev/null || sleep 1
grep -asH '' /proc/stat /proc/[0-9]*/stat 2>/dev/null
section done
date '+%s %N'
"""


def split_sections(text: str) -> Mapping[str, str]:
    """Text of each section by its name; one that is missing was not reached."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("== ") and line.endswith("\n"):
            lines = found.setdefault(line[3:].strip(), [])
        else:
            lines.append(line)
    return {name: "".join(rows) for name, rows in found.items()}
