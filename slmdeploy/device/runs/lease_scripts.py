r"""What a lease needs on the board: POSIX shell; times from ``/proc/uptime``, never a clock.

A lease is a file with a number for its name, and the newest number holds the board. To
take it is to link the next number, which exactly one can do; none is ever written over.
"""

from __future__ import annotations

from slmdeploy.device.runs.job_scripts import PROCESSES

__all__ = ["BEAT", "LOOK", "RELEASE", "SHOW", "TAKE"]

LOOK = (
    PROCESSES
    + r"""
# $1: folder of leases. Sets "last" to the newest number; empty for none.
newest() {
  last=
  for file in "$1"/*; do
    number=${file##*/}
    case $number in *[!0-9]*) continue ;; esac
    [ "$number" -le "${last:-0}" ] || last=$number
  done
}
# $1: folder of leases; $2: a number; $3: folder of runs. Sets "held" to yes or no, and what is
# known of it. A run of the owner that goes on holds it, whether or not the host is there.
look() {
  held=no l_token= l_owner= l_command= l_busy= l_left=0 l_boot=
  [ -n "$2" ] || return 0
  { read -r l_boot l_up l_ttl l_token; read -r l_owner; read -r l_command; } 2>/dev/null <"$1/$2" ||
    return 0
  look_up
  [ ! -e "$1/$2.over" ] && [ "$l_boot" = "$boot_now" ] || return 0
  l_beat=$l_up
  [ ! -e "$1/$2.beat" ] || read -r l_beat <"$1/$2.beat"
  l_left=$((l_ttl - up_now + l_beat))
  [ $l_left -le 0 ] || held=yes
  for l_run in "$3"/runner-*; do
    [ -e "$l_run/pid" ] && [ ! -e "$l_run/code" ] || continue
    l_whose=
    read -r l_whose 2>/dev/null <"$l_run/owner"
    if [ "$l_whose" = "$l_owner" ] && running "$l_run"; then held=yes l_busy=${l_run##*/}; fi
  done
}
say() {
  echo "held $held"
  [ $held = no ] && return 0
  echo "token $l_token"
  echo "age $((up_now - l_up))"
  echo "left $l_left"
  echo "busy $l_busy"
  echo "owner $l_owner"
  echo "command $l_command"
}
"""
)

TAKE = (
    LOOK
    + r"""
# $1: folder of leases; $2: folder of runs; $3: our token; $4: seconds it lasts without a sign of
# life; $5: "steal", a token to steal it from, or "-"; $6: whose it is; $7: for what. Says who had
# it, and "taken NUMBER".
lease=$1
mkdir -p "$lease" || exit 1
look_up
note="$boot_now $up_now $4 $3"
printf '%s\n%s\n%s\n' "$note" "$6" "$7" >"$lease/new-$3" || exit 1
tries=0
while [ $tries -lt 20 ]; do
  tries=$((tries + 1))
  newest "$lease"
  look "$lease" "$last" "$2"
  if [ $held = yes ] && [ "$l_token" = "$3" ]; then
    rm -f "$lease/new-$3"
    echo "taken $last"
    exit 0
  fi
  if [ $held = yes ] && [ "$5" != steal ] && [ "$5" != "$l_token" ]; then
    rm -f "$lease/new-$3"
    say
    exit 0
  fi
  next=$((${last:-0} + 1))
  ln "$lease/new-$3" "$lease/$next" 2>"$lease/said-$3" || { nap; continue; }
  # Whoever saw an old number may have linked one that was long gone.
  newest "$lease"
  [ "$last" = "$next" ] || { rm -f "$lease/$next"; continue; }
  say
  echo "taken $next"
  rm -f "$lease/new-$3" "$lease/said-$3"
  for old in "$lease"/*; do
    number=${old##*/}
    number=${number%%.*}
    case $number in *[!0-9]*) continue ;; esac
    [ "$number" -ge "$((next - 5))" ] || rm -f "$old"
  done
  exit 0
done
cat "$lease/said-$3" >&2
rm -f "$lease/new-$3" "$lease/said-$3"
exit 1
"""
)

BEAT = (
    LOOK
    + r"""
# $1: folder of leases; $2: folder of runs; $3: our number; $4: our token. Says "ours", or whose it
# is now.
newest "$1"
look "$1" "$3" "$2"
if [ "$last" = "$3" ] && [ "$l_token" = "$4" ] && [ ! -e "$1/$3.over" ] &&
  [ "$l_boot" = "$boot_now" ]; then
  echo "$up_now" >"$1/$3.beat.new" && mv -f "$1/$3.beat.new" "$1/$3.beat"
  echo ours
  exit 0
fi
look "$1" "$last" "$2"
say
"""
)

RELEASE = r"""
# $1: folder of leases; $2: our number; $3: our token.
[ -e "$1/$2" ] || exit 0
read -r boot up ttl token <"$1/$2"
[ "$token" != "$3" ] || : >"$1/$2.over"
"""

SHOW = (
    LOOK
    + r"""
# $1: folder of leases; $2: folder of runs. Says whose the newest is.
newest "$1"
look "$1" "$last" "$2"
say
"""
)
