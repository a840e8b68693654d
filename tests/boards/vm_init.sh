#!/bin/bash
# First process of a tier C board, after its root is mounted. Address and time stand on the
# kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
for word in $(< /proc/cmdline); do
  case $word in
    board.address=*) address=${word#*=} ;;
    board.gateway=*) gateway=${word#*=} ;;
    board.time=*) date -s "@${word#*=}" > /dev/null ;;
  esac
done
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
# Sensors that the emulated machine lacks; the real groups of processes in their place.
cp -a /usr/local/lib/board-sys /run/sys
mount --bind /run/sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/sshd
hostname -F /etc/hostname
[ -e /lib/board/sch_netem.ko ] && busybox insmod /lib/board/sch_netem.ko
ip link set lo up
ip address add "$address/30" dev eth0
ip link set eth0 up
ip route add default via "$gateway"
/usr/sbin/sshd -D -e 2> /dev/console &
# An orderly restart: sessions are closed, disks written, then the machine resets.
trap 'pkill -TERM sshd; sync; echo b > /proc/sysrq-trigger' TERM
while :; do wait -n || sleep 1; done
