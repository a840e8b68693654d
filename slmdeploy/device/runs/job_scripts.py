r"""What a detached run needs on the board: POSIX shell, and tools that busybox has too.

Each script takes its data as arguments and on standard input, never in its text. A
process is known by its number, the time it started (field 22 of ``/proc/PID/stat``,
proc(5)) and the boot's id: a number that was given out anew is never taken for it.
"""

from __future__ import annotations

__all__ = ["END", "FOLLOW", "LIST", "PROCESSES", "REMOVE", "START", "STOP", "WRAPPER"]

PROCESSES = r"""
# What is often asked for is read by the shell itself, into variables: a board is not busied with
# processes whose only work is to look.
read -r boot_now 2>/dev/null </proc/sys/kernel/random/boot_id
look_up() {
  read -r up_now up_rest </proc/uptime
  up_now=${up_now%.*}
}
# When another process started; fails if it is gone.
born() {
  born_at=
  read -r born_line 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${born_line##*) }
  [ "$1" != Z ] && born_at=${20}
}
# $1 $2 $3: number, birth and boot of a process, as one was noted.
same_process() { [ "$3" = "$boot_now" ] && born "$1" && [ "$born_at" = "$2" ]; }
nap() { sleep 0.1 2>/dev/null || sleep 1; }
oom_kills() { sed -n 's/^oom_kill //p' /proc/vmstat 2>/dev/null; }
# A process and all below it, for boards without setsid, where it leads no group.
family() {
  echo "$1"
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) . \([0-9]*\) .*/\1 \2/' |
    grep " $1\$" | while read -r child_pid child_rest; do family "$child_pid"; done
}
# $1: the leader of a group; $2: a signal.
signal_all() { kill -s "$2" -- "-$1" 2>/dev/null || kill -s "$2" $(family "$1") 2>/dev/null; }
end_all() {
  signal_all "$1" TERM
  n=0
  while [ $n -lt 20 ] && { kill -s 0 -- "-$1" 2>/dev/null || born "$1"; }; do
    nap
    n=$((n + 1))
  done
  signal_all "$1" KILL
}
# $1: folder of a run. Is its wrapper alive?
running() {
  read -r r_pid r_born r_boot r_up 2>/dev/null <"$1/pid" || return 1
  same_process "$r_pid" "$r_born" "$r_boot"
}
# $1: folder of a run. Opens 7, which is at its end as soon as the run is over; fails if it is.
ends_with() {
  if [ -p "$1/alive" ]; then
    # Opened for both first, which never waits; then for reading alone.
    exec 8<>"$1/alive" 7<"$1/alive" 8>&-
  else
    exec 7</dev/null
  fi
  running "$1"
}
# $1: folder of a run. Says: "state WORD", then what else is known of it.
tell() {
  state=absent code= t_boot= t_after=
  if read -r t_pid t_born t_boot t_up 2>/dev/null <"$1/pid"; then
    # In this order: a run that ends in between has its code then.
    state=lost
    ! same_process "$t_pid" "$t_born" "$t_boot" || state=running
    [ "$t_boot" = "$boot_now" ] || state=restarted
    if [ -e "$1/code" ]; then
      read -r code <"$1/code"
    elif [ -h "$1/code" ]; then
      code=$(readlink "$1/code")
    fi
    [ -z "$code" ] || state=ended
  fi
  echo "state $state"
  [ -z "$code" ] || echo "code $code"
  ! read -r t_reason 2>/dev/null <"$1/reason" || echo "reason $t_reason"
  if [ -n "$t_boot" ] && [ "$t_boot" = "$boot_now" ]; then
    look_up
    echo "age $((up_now - t_up))"
    if read -r t_before t_after 2>/dev/null <"$1/oom"; then
      echo "oom $t_before ${t_after:-$(oom_kills)}"
    fi
  fi
}
"""

WRAPPER = (
    PROCESSES
    + r"""
# $1: folder of the run; $2: seconds it may take, or "-"; $3: folder to run in, or "-"; rest: the
# command. Whoever links its own note to "pid" first runs it: asking twice starts it once.
run=$1 limit=$2 folder=$3
shift 3
note=$run/pid.$$
# By another process: an emulator answers for a process's own file by itself.
line=$(cat "/proc/$$/stat")
look_up
note_born() { echo "$$ ${20} $boot_now $up_now" >"$note"; }
note_born ${line##*) } || exit 1
if ! ln "$note" "$run/pid" 2>/dev/null; then
  rm -f "$note"
  echo already
  exit 0
fi
rm -f "$note"
# Held open as long as this process lives: who waits for its end waits for the end of this file.
if mkfifo "$run/alive" 2>/dev/null; then exec 9<>"$run/alive"; else exec 9</dev/null; fi
before=$(oom_kills)
echo "$before" >"$run/oom"
: >>"$run/out"
: >>"$run/err"
[ "$folder" = - ] || cd "$folder" 2>>"$run/err" || { echo 126 >"$run/code"; echo started; exit 0; }
leader=
! command -v setsid >/dev/null || leader=setsid
$leader "$@" <"$run/in" >>"$run/out" 2>>"$run/err" 9>&- &
child=$!
echo "$child" >"$run/child"
# Who asked may be gone already: that must not end us, nor reach the command.
trap '' PIPE
echo started
exec >/dev/null 2>&1
# The board itself ends it in time: the host may be gone by then.
watch() {
  exec 9>&-
  # Who is told to end between the fork and the second trap would leave its sleep behind; a sleep
  # that is still the shell's own fork would take TERM for the shell's.
  over=
  trap 'over=yes' TERM
  case $limit in *.*) sleep 0.01 || limit=$((${limit%%.*} + 1)) ;; esac
  sleep "$limit" &
  sleeper=$!
  trap 'kill -s KILL "$sleeper"; exit 0' TERM
  [ -z "$over" ] || { kill -s KILL "$sleeper"; exit 0; }
  wait "$sleeper"
  echo timeout >"$run/reason"
  end_all "$child"
}
if [ "$limit" != - ]; then
  watch &
  watcher=$!
fi
[ ! -e "$run/stop" ] || end_all "$child"
wait "$child"
code=$?
# What it left behind belongs to it.
kill -s KILL -- "-$child"
# Unless the watch itself ended it: that one is over soon. Any other would hours later end
# whatever has this number by then.
why=
read -r why 2>/dev/null <"$run/reason"
[ "$limit" = - ] || [ "$why" = timeout ] || kill "$watcher"
echo "$before $(oom_kills)" >"$run/oom"
# A full disk still has room for a link, whose target is kept in the inode.
{ echo "$code" >"$run/code.new" && mv -f "$run/code.new" "$run/code"; } || ln -s "$code" "$run/code"
"""
)

START = (
    PROCESSES
    + r"""
# $1: text of the wrapper; $2: folder of all runs; $3: id; $4: bytes of its standard input, which
# is ours; $5: how many runs to keep; $6: its name; $7: who started it; $8: seconds; $9: folder to
# run in; rest: the command. Says "started" or "already".
wrapper=$1 runs=$2 run=$2/$3 size=$4 keep=$5 name=$6 owner=$7 limit=$8 folder=$9
shift 9
mkdir -p "$run" || exit 1
if [ -e "$run/pid" ]; then
  echo already
  exit 0
fi
if [ "$size" = 0 ]; then
  : >"$run/in" || exit 1
else
  cat >"$run/in.$$" || exit 1
  if [ "$(wc -c <"$run/in.$$")" -ne "$size" ]; then
    rm -f "$run/in.$$"
    echo "its input did not arrive whole" >&2
    exit 1
  fi
  mv -f "$run/in.$$" "$run/in"
fi
echo "$name" >"$run/name"
echo "$owner" >"$run/owner"
printf '%s\0' "$@" >"$run/command"
trap '' HUP
leader=
! command -v setsid >/dev/null || leader=setsid
$leader sh -c "$wrapper" slmdeploy-job "$run" "$limit" "$folder" "$@" &
# The newest stay: boards' clocks are wrong, but they order files. Where one was set back, this run
# looks old, and may not have begun yet.
make_room() {
  set -- "$runs"/*
  [ $# -gt "$keep" ] || return 0
  ls -t "$runs" | tail -n "+$((keep + 1))" | while read -r old; do
    [ "$runs/$old" = "$run" ] || running "$runs/$old" || rm -rf "${runs:?}/$old"
  done
}
make_room
exit 0
"""
)

FOLLOW = (
    PROCESSES
    + r"""
# $1: folder of a run; $2: the line to begin with. Says whole lines of "out" until the run is over;
# what is missing then, END says.
run=$1 next=$2
ends_with "$run" || exit 0
case $([ ! -p "$run/alive" ] || tail --help 2>&1) in
*--pid*)
  # Woken by the kernel (inotify), so each line comes at once. Not by the number of the run's own
  # process: that one is there until somebody has waited for it.
  read -r never <&7 &
  over=$!
  tail -n "+$next" -s 0.1 --pid="$over" -f "$run/out" 7<&- &
  wait "$over"
  wait
  exit 0 ;;
esac
while running "$run"; do
  lines=$(wc -l <"$run/out")
  if [ "$lines" -ge "$next" ]; then
    sed -n "${next},${lines}p" "$run/out" || exit 0
    next=$((lines + 1))
  fi
  nap
done
"""
)

END = (
    PROCESSES
    + r"""
# $1: folder of a run; $2: the line to begin with, or "-"; $3: "wait" for its end, or "-". Says how
# the run is, an empty line, and the rest of "out" if the run is over; on standard error the end of
# its "err".
if [ "$3" = wait ] && ends_with "$1"; then
  read -r never <&7
  while running "$1"; do nap; done
fi
tell "$1"
echo
case $2$state in
-* | *running | *absent) exit 0 ;;
esac
tail -n "+$2" "$1/out"
[ ! -s "$1/err" ] || tail -c 65536 "$1/err" >&2
exit 0
"""
)

STOP = (
    PROCESSES
    + r"""
# $1: folder of a run. Ends all of its group, and waits until its code is there.
run=$1
[ -d "$run" ] || exit 0
: >"$run/stop"
running "$run" || exit 0
[ -e "$run/reason" ] || echo stopped >"$run/reason"
! read -r child 2>/dev/null <"$run/child" || end_all "$child"
n=0
while [ $n -lt 50 ] && running "$run"; do
  nap
  n=$((n + 1))
done
! running "$run"
"""
)

REMOVE = (
    PROCESSES
    + r"""
# $1: folder of a run that is over.
if running "$1"; then
  echo "it still runs" >&2
  exit 1
fi
rm -rf "$1"
"""
)

LIST = (
    PROCESSES
    + r"""
# $1: folder of all runs. Says "run ID" and what END says first, "name", "owner" and "command".
cd "$1" 2>/dev/null || exit 0
for run in *; do
  [ -d "$run" ] || continue
  echo "run $run"
  tell "$run"
  name= owner=
  read -r name 2>/dev/null <"$run/name"
  read -r owner 2>/dev/null <"$run/owner"
  echo "name $name"
  echo "owner $owner"
  echo "command $(head -c 300 "$run/command" 2>/dev/null | tr '\0\n' '  ')"
done
exit 0
"""
)
