#!/bin/bash
# First process of a board, in namespaces of its own: board_init.sh FOLDER ROOTFS HOSTNAME CPU RELEASE
# Mounts the board's root, then becomes an emulated shell that keeps sshd running.
set -euo pipefail
folder=$1 rootfs=$2 name=$3 cpu=$4 release=$5
root=$folder/root

# In the namespace of /proc, which still is the computer's: the number that others know us by.
read -r pid _ < /proc/self/stat
echo "$pid" >&3
exec 3>&-

layers=lowerdir=$rootfs,upperdir=$folder/upper,workdir=$folder/work
# The root of a user namespace may not use the attributes that are the computer's root's.
read -r _ _ users < /proc/self/uid_map
if [[ $users != 4294967295 ]]; then layers+=,userxattr; fi
mount -t overlay overlay -o "$layers" "$root"
mount -t tmpfs -o mode=755,size=64m tmpfs "$root/run"
mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
for file in "$folder"/proc/*; do mount --bind "$file" "$root/proc/${file##*/}"; done
cat /proc/sys/kernel/random/uuid > "$folder/boot_id"
mount --bind "$folder/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --bind "$folder/sys" "$root/sys"
mount --bind "$folder/board" "$root/usr/local/lib/board"

mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/sshd"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

if [[ ! -e $folder/furnished ]]; then
  cp -a "$folder/overlay/." "$root/"
  : > "$folder/furnished"
fi
if [[ -e $folder/home.img ]]; then mount -o loop "$folder/home.img" "$root/home/device"; fi
if [[ -d $folder/home ]]; then mount --bind "$folder/home" "$root/home/device"; fi
hostname "$name"
ip link set lo up
mkfifo "$root/run/sshd-wake"

cd "$root"
mkdir -p mnt/computer
pivot_root . mnt/computer
export QEMU_CPU=$cpu QEMU_UNAME=$release FAKETIME_DONT_FAKE_MONOTONIC=1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /bin/sh -c '
umount -l /mnt/computer && rmdir /mnt/computer
while :; do
  if [ -e /run/sshd-off ]; then read -r _ < /run/sshd-wake; else /usr/sbin/sshd -D -e; fi
done'
