#!/bin/busybox sh
# The first program of a tier C board's kernel: drivers, then the disk.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
while read -r module; do $B insmod "/m/$module"; done < /m/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do
  $B usleep 50000
  tries=$((tries + 1))
done
$B mount -t ext4 -o rw,data=ordered /dev/vda /mnt || exec $B sh
$B umount /proc /sys
$B mount --move /dev /mnt/dev
exec $B switch_root /mnt /sbin/board-init
