r"""What reads sensors once: POSIX shell, and tools that busybox has too.

Data comes on standard input, never in the text of the script.
"""

from __future__ import annotations

__all__ = ["READ"]

READ = r"""
# $1: the watched process, or nothing; stdin: "ROUNDS KIND WHAT" in rows, parted by tabs.
# Says "round N", then for each text "key KEY", its lines after "|", and "end" or "miss WHY".
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
pid=$1
tab=$(printf '\t')
rows=$(cat)
limit=
timeout 9 true 2>/dev/null && limit='timeout 9'

lines() {
  while IFS= read -r line || [ -n "$line" ]; do
    some=1
    printf '|%s\n' "$line"
  done
}
missed() {
  why=${1##*: }
  printf 'miss %s\n' "${why:-there is nothing in it}"
}
one_file() {  # $1: path; $2: key
  printf 'key %s\n' "$2"
  some=
  lines 2>/dev/null <"$1"
  if [ -n "$some" ]; then echo end; else missed "$(cat "$1" 2>&1 >/dev/null | head -n 1)"; fi
}
files() {  # $1: pattern
  case $1 in
  *{pid}*) [ -z "$pid" ] || one_file "/proc/$pid/${1##*\}/}" "$1" ;;
  *{agent}*) one_file "/proc/$$/${1##*\}/}" "$1" ;;
  *)
    IFS=
    for path in $1; do
      if [ -e "$path" ]; then one_file "$path" "$path"; fi
    done
    unset IFS ;;
  esac
}
joined() {  # $1: pattern
  printf 'key %s\n' "$1"
  IFS=
  cat $1 2>/dev/null | sed 's/^/|/'
  unset IFS
  echo end
}
command_says() {  # $1: its words
  printf 'key %s\n' "$1"
  set -f
  if command -v "${1%% *}" >/dev/null 2>&1; then
    said=$($limit $1 2>&1 </dev/null)
    code=$?
    if [ "$code" = 0 ]; then
      printf '%s\n' "$said" | sed 's/^/|/'
      echo end
    elif [ "$code" = 124 ] || [ "$code" = 143 ]; then
      echo 'miss it did not end within 9 s'
    else
      first=$(printf '%s\n' "$said" | head -n 1)
      printf 'miss %s\n' "it ended with code $code${first:+: $first}"
    fi
  else
    echo "miss ${1%% *} is not on this board"
  fi
  set +f
}
read_all() {  # $1: the round
  printf 'round %s\n' "$1"
  while IFS=$tab read -r rounds kind what; do
    unset IFS
    [ "$rounds" -ge "$1" ] || continue
    case $kind in
    files) files "$what" ;;
    joined) joined "$what" ;;
    command) command_says "$what" ;;
    esac
  done <<ROWS
$rows
ROWS
}
read_all 1
case $rows in
*2"$tab"*)
  sleep 0.5 2>/dev/null || sleep 1
  read_all 2 ;;
esac
exit 0
"""
