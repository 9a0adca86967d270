#!/usr/bin/env bash
# The first process of a box: makes a throw-away copy of a file system its root, and becomes systemd.
# Started by box.py in namespaces of its own (mount, uts, ipc, cgroup, pid): all of it goes when they do.
#   boot.sh DIRECTORY TREE SYSTEM    DIRECTORY is empty, for the mounts; TREE is laid over SYSTEM, which is / or another root
set -euo pipefail
directory=$1 tree=$2 system=$3
cannot() {
    echo "no box can be booted here: $1" >&2
    exit 77
}

mount -t tmpfs -o mode=755,size=2g box "$directory" || cannot 'tmpfs is refused'
mkdir "$directory/upper" "$directory/work" "$directory/root"
root=$directory/root
mount -t overlay box -o "lowerdir=$system,upperdir=$directory/upper,workdir=$directory/work" "$root" || cannot 'overlay is refused'

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
for knob in sys sysrq-trigger; do # the kernel is the machine's own: nothing in the box may set it
    [[ -e $root/proc/$knob ]] || continue
    mount --bind "$root/proc/$knob" "$root/proc/$knob"
    mount -o remount,bind,ro "$root/proc/$knob"
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup" || cannot 'cgroup2 is refused'
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"

# What belongs to a machine and not to a box: its disks, its clock, its devices, its network, its logins, its scribed.
for unit in systemd-udevd{,-control,-kernel}.{service,socket} systemd-udev-{trigger,settle}.service \
    systemd-{sysctl,binfmt,modules-load,timesyncd,pstore,random-seed,remount-fs,machine-id-commit,firstboot,hwdb-update}.service \
    systemd-{networkd,resolved,logind}.service systemd-journald-audit.socket proc-sys-fs-binfmt_misc.{automount,mount} \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount ldconfig.service; do
    ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done
rm -rf "$root"/usr/{lib,bin}/scribed "$root"/{etc,var/lib}/scribed
rm -rf "$root"/etc/systemd/system/*.target.wants "$root/var/log/journal" "$root"/etc/systemd/system/scribed*
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf.d/box.conf"
printf '[Unit]\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target dbus.socket\nAllowIsolate=yes\n' \
    >"$root/etc/systemd/system/box.target"
: >"$root/etc/fstab"
hostname box
echo box >"$root/etc/hostname"
cp -a --no-preserve=ownership "$tree/." "$root/"

cd "$root"
mkdir -p .old
pivot_root . .old || cannot 'pivot_root is refused'
umount -l /.old
rmdir /.old
# In a container this is left to its manager. Without it the mount of LoadCredential= never reaches the service.
mount --make-rshared /
exec setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-syslog,-audit_control,-audit_read,-mac_admin,-mac_override,-sys_pacct \
    env -i container=scribed-box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
    /lib/systemd/systemd --system --unit=box.target --show-status=no </dev/null
