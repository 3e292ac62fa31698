#!/bin/sh
# A throw-away host, see hosts.ts. Its root is an overlay of this machine's own, its disk a tmpfs; every mount is in
# a namespace, so that all of it goes with its processes.
#
#   host.sh keep FOLDER NAME SIZE_MB   prepares the disk, then boots for each line read: a time for cron, or `-` for
#                                      no cron; says `ready` and `booted PID`
#   host.sh boot ROOT NAME TIME        is the host's first process
#
# HIDE_PATHS, HIDE_FOLDERS: what of this machine is not to be there, in words; such folders are there, but empty.
set -eu

keep() {
  folder=$1 name=$2 disk=$1/disk
  root=$disk/root
  mkdir "$disk"
  mount -t tmpfs -o "size=$3m" tmpfs "$disk"
  shift 3
  mkdir "$disk/up" "$disk/work" "$root"
  cd "$disk/up"
  mkdir -p usr/bin usr/sbin usr/lib var
  # such a device is how an overlay says that a file is gone
  for path in $HIDE_PATHS $HIDE_FOLDERS; do
    mkdir -p ".${path%/*}"
    mknod ".$path" c 0 0
  done
  cd /
  mount -t overlay -o "lowerdir=/,upperdir=$disk/up,workdir=$disk/work" overlay "$root"
  cd "$root"
  for path in $HIDE_FOLDERS; do set -- "$@" ".$path"; done
  mkdir "$@"
  chmod 700 "$root/root"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  settle "$name" "$(cat "$folder/key.pub")" "$folder/zone"
  echo ready
  while read -r time; do
    setpriv --pdeathsig KILL unshare --mount --pid --uts --fork --kill-child sh "$0" boot "$root" "$name" "$time" &
    echo "booted $!"
    wait "$!" || true
  done
}

# What an installer of an operating system asks: name, time zone, who may come in.
settle() {
  zone=$(cat "$3")
  echo "$zone" >"$root/etc/timezone"
  ln -sf "/usr/share/zoneinfo/$zone" "$root/etc/localtime"
  rm -f "$root/etc/hosts"
  printf '127.0.0.1 localhost %s\n' "$1" >"$root/etc/hosts"
  rm -f "$root"/etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$root/etc/ssh/ssh_host_ed25519_key"
  chroot "$root" sh -c 'for user in ops locked; do useradd -m -s /bin/sh -p "*" "$user"; done'
  echo 'ops ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/ops"
  echo 'locked ALL=(ALL) ALL' >"$root/etc/sudoers.d/locked"
  chmod 440 "$root"/etc/sudoers.d/ops "$root"/etc/sudoers.d/locked
  for home in /root /home/ops /home/locked; do
    mkdir -m 700 "$root$home/.ssh"
    echo "$2" >"$root$home/.ssh/authorized_keys"
    chown -R --reference="$root$home" "$root$home/.ssh"
  done
}

boot() {
  root=$1
  hostname "$2"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  mkdir "$root/run/sshd"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  cd "$root"
  path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  case $3 in
  -) ;;
  now) env -i "PATH=$path" chroot . cron ;;
  *) env -i "PATH=$path" chroot . env "LD_PRELOAD=$FAKETIME_LIBRARY" "FAKETIME=@$3" cron ;;
  esac
  exec env -i "PATH=$path" chroot . /usr/sbin/sshd -D -e
}

"$@"
