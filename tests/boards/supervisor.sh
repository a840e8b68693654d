#!/bin/sh
# supervisor.sh FOLDER MEMORY_GROUP COMMAND...: run a board until it ends, or until this program's
# input does, as happens when the tests are over, or killed. MEMORY_GROUP may be empty.
group=$2
shift 2
if [ -n "$group" ]; then echo $$ > "$group/cgroup.procs"; fi
exec 4<&0
"$@" < /dev/null 4<&- &
board=$!
exec 3>&-
(
  read -r _ <&4
  kill -9 "$board" 2> /dev/null
) &
watch=$!
wait "$board"
kill "$watch" 2> /dev/null
