r"""What starting and ending the agent runs on the board: POSIX shell, and busybox's tools."""

from __future__ import annotations

__all__ = ["AWAIT", "END", "LOOK"]

_NAP = r"""
nap() { sleep 0.1 2>/dev/null || sleep 1; }
"""

LOOK = r"""
# $1: the agent's place. Says the Python to use, or why there is none; then "absent" or "here".
found=
for name in python3 python; do
  if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
    found=$name
    break
  fi
done
echo "python $found"
if [ -f "$1" ]; then echo here; else echo absent; fi
"""

AWAIT = (
    _NAP
    + r"""
# $1: what the agent writes; $2: tenths of a second to wait at most for its first readings.
n=0
while [ $n -lt "$2" ] && ! grep -q '"read"' "$1" 2>/dev/null; do
  nap
  n=$((n + 1))
done
exit 0
"""
)

END = (
    _NAP
    + r"""
# $1: the file that tells the agent to end; $2: where its exit code will be; $3: tenths of a second.
mkdir -p "${1%/*}" && : >"$1"
n=0
while [ $n -lt "$3" ] && [ ! -e "$2" ]; do
  nap
  n=$((n + 1))
done
rm -f "$1"
exit 0
"""
)
