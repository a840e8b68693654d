r"""What changes settings of a board, and puts them back: POSIX shell, and sudo -n.

Rows of standard input and of ``settings/saved`` have fields parted by tabs: ``governor
PATH VALUE``, ``mode - ID``, ``clocks FILE VALUE``.
"""

from __future__ import annotations

from slmdeploy.device.runs.lease_scripts import LOOK

__all__ = ["APPLY", "GUARD", "MAY", "RESTORE", "SAVE", "SURVEY"]

_SET = r"""
PATH=$PATH:/usr/sbin:/sbin
tab=$(printf '\t')
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
# $1: a file of the kernel; $2: what to write there.
write() {
  if [ -w "$1" ]; then echo "$2" >"$1"; else echo "$2" | as_root tee "$1" >/dev/null; fi
}
mode_now() { nvpmodel -q 2>/dev/null | sed -n '/^[0-9][0-9]*$/p'; }
# One row. What had to be asked for (a restart, say) is answered by the end of input.
put() {
  case $1 in
  governor) write "$2" "$3" && [ "$(cat "$2")" = "$3" ] ;;
  mode) as_root nvpmodel -m "$3" </dev/null && [ "$(mode_now)" = "$3" ] ;;
  clocks)
    if [ "$3" = max ]; then
      rm -f "$2"
      as_root jetson_clocks --store "$2" </dev/null && as_root jetson_clocks </dev/null
    elif [ -e "$2" ]; then
      as_root jetson_clocks --restore "$2" </dev/null
    fi ;; # else none were changed: they are stored first
  *) false ;;
  esac
}
# $1: folder of the settings. Puts back what is saved there; keeps the rows that failed.
restore() {
  [ -e "$1/saved" ] || return 0
  failed=
  {
    read -r head
    while IFS=$tab read -r kind key value; do
      if said=$(put "$kind" "$key" "$value" 2>&1); then
        printf 'ok\t%s\t%s\t%s\n' "$kind" "$key" "$value"
      else
        printf 'failed\t%s\t%s\t%s\n' "$kind" "$key" "$(echo "$said" | tr '\n\t' '  ')"
        failed="$failed$kind$tab$key$tab$value
"
      fi
    done
  } <"$1/saved"
  if [ -n "$failed" ]; then
    printf '%s\n%s' "$head" "$failed" >"$1/saved.new" && mv -f "$1/saved.new" "$1/saved"
  else
    rm -f "$1/saved"
  fi
}
"""

SURVEY = (
    _SET
    + r"""
# $1: folder of the settings. Says what could be changed, and what is changed.
echo "user $(id -un 2>/dev/null || id -u)"
for file in /sys/devices/system/cpu/cpufreq/policy*/scaling_governor; do
  [ -r "$file" ] || continue
  all=$(cat "${file%/*}/scaling_available_governors" 2>/dev/null)
  printf 'governor %s\t%s\t%s\n' "$file" "$(cat "$file")" "$all"
done
if command -v nvpmodel >/dev/null 2>&1; then
  echo "mode $(mode_now)"
  # < POWER_MODEL ID=0 NAME=MAXN >
  sed -n 's/^[ \t]*<[ \t]*POWER_MODEL[ \t]*ID=\([0-9]*\)[ \t]*NAME=\([^ >]*\).*/modes \1 \2/p' \
    /etc/nvpmodel.conf 2>/dev/null
fi
! command -v jetson_clocks >/dev/null 2>&1 || echo "clocks yes"
[ ! -e "$1/saved" ] || sed 's/^/saved /' "$1/saved"
exit 0
"""
)

MAY = (
    _SET
    + r"""
# stdin: rows. Whether each could be changed, found out without changing anything.
while IFS=$tab read -r kind key value; do
  case $kind in
  governor) said=$(write "$key" "$(cat "$key")" 2>&1) ;;
  mode) said=$(as_root nvpmodel -q 2>&1 </dev/null) ;;
  clocks) said=$(as_root jetson_clocks --show 2>&1 </dev/null) ;;
  esac || { echo "$said" >&2; exit 1; }
done
"""
)

SAVE = r"""
# $1: folder of the settings; $2: our token; $3: who we are; stdin: rows that put all back.
mkdir -p "$1" || exit 1
{ echo "$2 $3"; cat; } >"$1/saved.new" && mv -f "$1/saved.new" "$1/saved" && sync
"""

APPLY = (
    _SET
    + r"""
# stdin: rows. Says "ok" or "failed", and the row.
while IFS=$tab read -r kind key value; do
  if said=$(put "$kind" "$key" "$value" 2>&1); then
    printf 'ok\t%s\t%s\t%s\n' "$kind" "$key" "$value"
  else
    printf 'failed\t%s\t%s\t%s\n' "$kind" "$key" "$(echo "$said" | tr '\n\t' '  ')"
    exit 0
  fi
done
"""
)

RESTORE = (
    _SET
    + r"""
# $1: folder of the settings.
restore "$1"
"""
)

GUARD = (
    LOOK
    + _SET
    + r"""
# $1: folder of the settings; $2: our token; $3: folder of leases; $4: number of ours; $5: folder of
# runs. Puts the settings back when the lease is over, however that came.
while read -r token rest 2>/dev/null <"$1/saved" && [ "$token" = "$2" ]; do
  look "$3" "$4" "$5"
  if [ $held = no ] || [ -e "$3/$(($4 + 1))" ]; then
    : >"$3/$4.over"  # so that a host that comes back learns of it
    restore "$1"
    exit 0
  fi
  # Nothing but this sleep is started while all is well: the board is being measured.
  sleep 3
done
"""
)
