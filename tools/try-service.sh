#!/bin/bash
# Starts the DICOM node as the unit that comes along does it, under a systemd of its own: in namespaces, on a copy of
# this machine's files that is thrown away. Sends it a run, kills it as soon as the run is acknowledged, and waits for
# the results, which are to come once, from the node that systemd has started again.
#   tools/try-service.sh BUILD_FOLDER RUN.dcm      as root; RUN.dcm uncompressed, since storescu is to send it
set -euo pipefail
[[ $# == 2 && -d $1 && -f $2 ]] || { echo "usage: tools/try-service.sh BUILD_FOLDER RUN.dcm" >&2; exit 2; }
build=$(realpath "$1") run=$(realpath "$2")
[[ $(id -u) == 0 ]] || { echo "try-service: must be root, for namespaces and mounts" >&2; exit 2; }
for program in storescu storescp echoscu unshare nsenter pgrep /lib/systemd/systemd; do
  command -v $program >/dev/null || { echo "try-service: needs $program" >&2; exit 2; }
done
work=$(mktemp -d) port=11112 port_back=11113
back=$work/back
mkdir "$back" "$work/layers"

cat > "$work/start.sh" <<'INSIDE'
set -euo pipefail
mount --make-rprivate /
cd "$1"
mount -t tmpfs tmpfs .
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in dev run tmp; do mount -t tmpfs tmpfs $folder; done
for device in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
  read -r name major minor <<< "$device"
  mknod -m 666 "dev/$name" c "$major" "$minor"
done
mkdir dev/shm dev/pts .outside
mount -t devpts devpts dev/pts
ln -s pts/ptmx dev/ptmx
rm -rf etc/systemd/system/*.wants                    # nothing else is to start
printf '[Unit]\nDescription=nothing but the node\n' > etc/systemd/system/alone.target
pivot_root . .outside
cd /
umount -l .outside
mount --make-rshared /
container=other exec /lib/systemd/systemd --system --unit=alone.target --log-target=null
INSIDE
unshare --kill-child=KILL --pid --fork --mount --uts --ipc bash "$work/start.sh" "$work/layers" > "$work/log" 2>&1 &
outside=$!
disown
server=
trap 'kill -KILL $outside $server 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "try-service: $1" >&2; inside journalctl --no-pager -u cmunet-node >&2 || cat "$work/log" >&2; exit 1; }
inside() {
  local init
  init=$(pgrep -P $outside)
  timeout -s KILL 60 nsenter -t "$init" -m -p -u -i --root="/proc/$init/root" --wd="/proc/$init/root" "$@"
}
until_true() { for _ in $(seq 120); do "${@:2}" && return; sleep 0.5; done; fail "$1"; }
is_up() { inside systemctl is-system-running > /dev/null 2>&1; }
is_active() { [[ $(inside systemctl is-active cmunet-node) == active ]]; }
listens() { is_active && echoscu -aet TEST -aec CMUNET 127.0.0.1 $port 2> /dev/null; }
is_back() { (($(find "$back" -type f | wc -l) >= 2)); }

until_true "systemd does not come up" is_up
inside cmake --install "$build" --prefix /usr > /dev/null
inside bash -c "echo 'NODE_OPTIONS=\"--allow TEST@127.0.0.1 --send-to BACK@127.0.0.1:$port_back --port $port\"' \
  > /etc/default/cmunet-node; systemctl daemon-reload; systemctl start cmunet-node"
until_true "the node does not listen" listens
storescu -aet TEST -aec CMUNET 127.0.0.1 $port "$run"
inside systemctl kill -s KILL cmunet-node
storescp -od "$back" -aet BACK $port_back > /dev/null 2>&1 &
server=$!
disown
until_true "no results after the node was killed" is_back
sleep 5
count=$(find "$back" -type f | wc -l)
[[ $count == 2 ]] || fail "$count objects came back; expected a segmentation and a report"
owner=$(inside stat -c '%U %a' /var/lib/private/cmunet-node)
[[ $owner == "cmunet-node 700" ]] || fail "the spool is $owner; expected cmunet-node 700"
inside systemctl stop cmunet-node
[[ $(inside systemctl is-failed cmunet-node) == inactive ]] || fail "stopping it is a failure to systemd"
inside sed -i 's/--allow [^ ]*/--allow nobody/' /etc/default/cmunet-node
inside systemctl start cmunet-node || true
sleep 12                                              # longer than the pause before a restart
[[ $(inside systemctl show -P NRestarts cmunet-node) == 0 ]] || fail "it is started again in spite of a wrong option"
[[ $(inside systemctl is-failed cmunet-node) == failed ]] || fail "a wrong option is no failure to systemd"
inside journalctl --no-pager -o cat -u cmunet-node
echo "try-service: the unit works"
