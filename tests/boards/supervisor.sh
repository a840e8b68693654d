#!/bin/sh
# supervisor.sh FOLDER MEMORY_GROUP COMMAND...: run a board until this program's input ends,
# as it does when the tests are over, or killed. MEMORY_GROUP may be empty.
folder=$1 group=$2
shift 2
if [ -n "$group" ]; then echo $$ > "$group/cgroup.procs"; fi
exec 4<&0
"$@" < /dev/null 4<&- &
child=$!
exec 3>&-
read -r _ <&4
kill -9 "$child" 2> /dev/null
wait "$child"
