# Makes the machines 10.0.0.1 to 10.0.0.3 (one, two and three) of namespaces, then runs the command line that it is given
# beside them, as 10.0.0.254. It must be the first process of network, mount and process namespaces of its own, which
# end with it. Each machine has its own network, host name, /etc, /home, /root, /run, /tmp, /usr/local, /var/lib, /var/log and /var/spool.
# ssh, scp and systemctl are replaced by small scripts, since neither sshd nor systemd runs here; all else is real.
set -eu
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/bin /mnt/pid

cat > /mnt/bin/machine <<'END'
#!/bin/bash
set -eu
ip link set lo up
mount -t tmpfs none /run
cp -a /etc /run/etc
mount --bind /run/etc /etc
for dir in /home /root /tmp /usr/local /var/lib /var/log /var/spool; do
  mkdir -p "/run/machine$dir"
  mount --bind "/run/machine$dir" "$dir"
done
chmod 1777 /tmp
mkdir -p /usr/local/bin /var/spool/cron/crontabs
hostname "$1"
exec sleep infinity
END

cat > /mnt/bin/ssh <<'END'
#!/bin/bash
# ssh [USER@]HOST COMMAND: by root, in its home.
pid=$(cat "/mnt/pid/${1#*@}")
shift
exec nsenter -t "$pid" -n -m -u env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
  PATH=/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "cd; $*"
END

cat > /mnt/bin/scp <<'END'
#!/bin/bash
# scp FILE... [USER@]HOST: copies to root's home.
set -eu
to=${!#}
for file in "${@:1:$#-1}"; do
  tar -C "$(dirname "$file")" -chf - "$(basename "$file")" | ssh "${to%%:*}" tar --no-same-owner -xf -
done
END

cat > /mnt/bin/systemctl <<'END'
#!/bin/bash
# Starts the agent as systemd would, by what stands in its unit, and again when it ends: its program may be
# replaced while it starts.
set -eu
case "$*" in
"enable --now ddgoose")
  kill -0 "$(cat /run/ddgoose.pid 2>/dev/null)" 2>/dev/null && exit 0
  install -d -o ddgoose -g ddgoose -m 700 /var/lib/ddgoose
  install -d -o ddgoose -g ddgoose -m 750 /run/ddgoose
  while sleep 0.1; do
    setpriv --reuid ddgoose --regid ddgoose --clear-groups env XDG_STATE_HOME=/var/lib XDG_RUNTIME_DIR=/run \
      $(sed -n 's/^ExecStart=//p' /etc/systemd/system/ddgoose.service) || true
  done < /dev/null > /run/ddgoose.log 2>&1 &
  echo $! > /run/ddgoose.pid
  ;;
*) echo "systemctl: no idea what $* is" >&2; exit 1 ;;
esac
END
chmod +x /mnt/bin/*

ip link set lo up
ip link add br0 type bridge
ip addr add 10.0.0.254/24 dev br0
ip link set br0 up
number=0
for name in one two three; do
  number=$((number + 1))
  unshare -n -m -u /mnt/bin/machine "$name" &
  echo $! > "/mnt/pid/10.0.0.$number"
  until [ "$(nsenter -t $! -u hostname)" = "$name" ]; do sleep 0.05; done
  ip link add "v$number" type veth peer name eth0 netns $!
  ip link set "v$number" master br0 up
  nsenter -t $! -n ip addr add "10.0.0.$number/24" dev eth0
  nsenter -t $! -n ip link set eth0 up
done
PATH=/mnt/bin:$PATH "$@"
