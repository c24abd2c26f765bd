#!/bin/busybox sh
# The first process of the test guest, from the kernel's initial file system: loads the disk's drivers, mounts what a
# system has mounted, then runs /guest/command in the new root. Its output goes to one port, its report to the other.
set -e
# The shell finds its own commands through /proc/self/exe.
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
until [ -b /dev/vda ]; do sleep 0.05; done
mount -t ext4 -o noatime /dev/vda /new

cd /new
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t devtmpfs -o nosuid,mode=755 devtmpfs dev
for each in run tmp; do mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs $each; done
chmod 755 run
mkdir -p dev/pts dev/shm dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o nosuid,nodev shm dev/shm
mount -t mqueue mqueue dev/mqueue
ln -sf /proc/self/fd dev/fd
ln -sf fd/0 dev/stdin
ln -sf fd/1 dev/stdout
ln -sf fd/2 dev/stderr
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 sys/fs/cgroup
cp -a /payload/. .
mkdir -p run/guest
cp /guest/* /bin/busybox run/guest
ip link set lo up
hostname guest
exec switch_root /new /run/guest/busybox sh /run/guest/stage2
