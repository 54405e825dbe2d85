#!/bin/bash
# Boots this system's own systemd as process 1 of new namespaces, over a throw-away copy of the root file
# system, with a build of masqgate installed there; runs a script in it and ends with the script's status.
# Nothing of it touches the host: what is written lands in memory and goes with the last process.
# Usage: boot_systemd.sh BUILD_DIRECTORY SCRIPT   as root; 77: this machine cannot
set -eu
patience=240  # seconds until all of it is killed

skip() { echo "skipped: $*"; exit 77; }

outside() {
  build=$(readlink -f "$1") script=$(readlink -f "$2")
  [ "$(id -u)" = 0 ] || skip "needs root"
  for needed in /dev/fuse /dev/net/tun /lib/systemd/systemd /usr/bin/dbus-daemon; do
    [ -e $needed ] || skip "needs $needed"
  done
  # systemd manages its processes in a control group of its own, below ours.
  cgroups=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
  [ -n "$cgroups" ] && mkdir "$cgroups/masqgate-test.$$" 2>/dev/null || skip "needs a writable cgroup2 file system"
  cgroup=$cgroups/masqgate-test.$$
  work=$(mktemp -d /tmp/masqgate-boot.XXXXXX)
  trap clean_up EXIT
  (
    echo "$BASHPID" > "$cgroup/cgroup.procs"
    exec timeout -k 5 "$patience" unshare --mount --pid --net --cgroup --uts --ipc --fork --kill-child=KILL \
      --propagation private bash "$0" --inside "$build" "$script" "$work" < /dev/null
  ) && status=0 || status=$?
  [ -s "$work/output" ] || echo "the script did not run"
  cat "$work/output"
  return $status
}

clean_up() {
  set +e
  rm -rf --one-file-system "$work"
  for _ in $(seq 100); do  # the last processes may still be dying
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$cgroup" ] || break
    sleep 0.1
  done
}

inside() {
  build=$1 script=$2 work=$3
  : > "$work/output"
  mkdir "$work/disk"
  mount -t tmpfs -o mode=755 masqgate-test "$work/disk"
  mkdir "$work/disk"/{upper,work,root}
  root=$work/disk/root
  mount -t overlay overlay -o "lowerdir=/,upperdir=$work/disk/upper,workdir=$work/disk/work" "$root" ||
    skip "overlay file systems cannot be mounted here"
  meson install -C "$build" --no-rebuild --quiet --destdir "$root"
  furnish
  mount_kernel_file_systems
  : > "$root/test.output"
  mount --bind "$work/output" "$root/test.output"
  cd "$root"
  mkdir .old
  pivot_root . .old
  umount -l /.old
  hostname masqgate-test
  ip link set lo up
  exec env -i container=masqgate-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system --unit=test.target --log-target=journal-or-kmsg --log-level=warning --show-status=false
}

# The one target that is booted into: basic.target and the script, whose end is the end of everything.
furnish() {
  units=$root/etc/systemd/system
  cp "$script" "$root/test.sh"
  mkdir -p "$units"
  cat > "$units/test.target" <<'UNIT'
[Unit]
Requires=sysinit.target basic.target test.service
After=basic.target
UNIT
  cat > "$units/test.service" <<'UNIT'
[Unit]
After=basic.target dbus.socket systemd-journald.service
Wants=dbus.socket systemd-journald.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/bash /test.sh
StandardOutput=append:/test.output
StandardError=append:/test.output
TimeoutStartSec=infinity
UNIT
  for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket \
      systemd-udevd-kernel.socket systemd-timesyncd.service systemd-binfmt.service \
      proc-sys-fs-binfmt_misc.automount systemd-update-utmp.service systemd-random-seed.service \
      systemd-modules-load.service systemd-logind.service; do
    ln -sf /dev/null "$units/$unit"
  done
  : > "$root/etc/fstab"
  : > "$root/etc/machine-id"
}

mount_kernel_file_systems() {
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  # Settings of the kernel belong to the host, except those of our own network.
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount --bind /proc/sys/net "$root/proc/sys/net"
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
  mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  local name type major minor
  while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<'NODES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
fuse 10 229
NODES
  mkdir "$root"/dev/{net,pts,shm}
  mknod -m 666 "$root/dev/net/tun" c 10 200
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  : > "$root/dev/console"
  mount --bind /dev/null "$root/dev/console"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
}

if [ "$1" = --inside ]; then shift; inside "$@"; else outside "$@"; fi
