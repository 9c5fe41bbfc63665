#!/usr/bin/env bash
# Bring up a real multi-node Slurm on this one machine, without systemd, cgroups or containers.
# Run it again and it starts only what is missing.  Needs root, slurmctld, slurmd, slurm-client and munge.
#
#   eval "$(./start_slurm.sh)"     # prints `export SLURM_CONF=...`; progress goes to stderr
#
# All of it lives under $SLURM_LAB_DIR; outside there is only a marked block in /etc/hosts.  Environment:
#   SLURM_LAB_DIR    state, logs, spool, keys (default /var/tmp/slurm-lab; unix socket paths must stay below 108 characters)
#   SLURM_LAB_NODES  number of nodes (default 4); SLURM_LAB_CPUS, SLURM_LAB_GPUS, SLURM_LAB_MEM: what each node claims to
#                    have (default 16, 8, 64000 MB; nothing of it need exist)
#   SLURM_LAB_PORT   slurmctld's port (default 26817); the nodes take the ports after it
# Partitions low, batch (default) and high: jobs of high preempt those of low. What nodes see in $SLURM_LAB_DIR/local is
# their own, like the disk of a real node, where mount namespaces are allowed. Options of pyxis are taken by a stand-in
# (fake_pyxis.c), where gcc and libslurm-dev are installed.
set -euo pipefail
DIR=${SLURM_LAB_DIR:-/var/tmp/slurm-lab}
NODES=${SLURM_LAB_NODES:-4}
CPUS=${SLURM_LAB_CPUS:-16}
GPUS=${SLURM_LAB_GPUS:-8}
MEM=${SLURM_LAB_MEM:-64000}
PORT=${SLURM_LAB_PORT:-26817}
HOST=$(hostname -s)
LAST=$((NODES - 1))
say() { echo "[start_slurm] $*" >&2; }

# 1. directories, key, names
mkdir -p "$DIR"/{state,spool,log,munge,pid,dev,local}
chmod 0755 "$DIR" "$DIR"/{munge,pid,log}
[ -f "$DIR/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$DIR/munge/key")
# Every node gets a loopback address and a name that resolves, so that the first of `scontrol show hostnames` can
# really be connected to.
write_names() {
  local kept
  grep -q "# slurm-lab $NODES\$" /etc/hosts && return
  kept=$(sed '/# slurm-lab/d' /etc/hosts)
  {
    printf '%s\n' "$kept"
    for i in $(seq 0 "$LAST"); do echo "127.0.8.$((i + 1)) node$i # slurm-lab"; done
    echo "# slurm-lab $NODES"
  } >"$DIR/hosts.new"
  cat "$DIR/hosts.new" >/etc/hosts # in place: it may be a mount of its own
}
(flock 9 && write_names) 9</etc/hosts # another cluster may start at the same moment

# 2. configuration
export SLURM_CONF=$DIR/slurm.conf
{
  cat <<CONF
ClusterName=slurmlab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job may not start before its old credential has expired: 120 s by default.
AuthInfo=socket=$DIR/munge/socket,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort=$PORT
SlurmctldPidFile=$DIR/pid/slurmctld.pid
SlurmdPidFile=$DIR/pid/slurmd.%n.pid
SlurmdSpoolDir=$DIR/spool/%n
StateSaveLocation=$DIR/state
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
# Resources that need not exist.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# Quick answers.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2,nohold_on_prolog_fail
DependencyParameters=kill_invalid_depend
SlurmctldTimeout=30
SlurmdTimeout=20
InactiveLimit=0
KillWait=5
MinJobAge=3600
MessageTimeout=20
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
CONF
  gres=
  [ "$GPUS" -eq 0 ] || gres=" Gres=gpu:$GPUS"
  for i in $(seq 0 "$LAST"); do
    echo "NodeName=node$i NodeHostname=$HOST NodeAddr=127.0.8.$((i + 1)) Port=$((PORT + 1 + i)) CPUs=$CPUS Sockets=1" \
      "CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=$MEM$gres State=UNKNOWN"
  done
  common="Nodes=ALL MaxTime=INFINITE DefaultTime=60 State=UP DefMemPerCPU=100"
  echo "PartitionName=batch $common Default=YES PriorityTier=5 PreemptMode=OFF"
  echo "PartitionName=low $common PriorityTier=1 PreemptMode=REQUEUE GraceTime=10"
  echo "PartitionName=high $common PriorityTier=10 PreemptMode=OFF"
} >"$SLURM_CONF"
: >"$DIR/gres.conf"
for g in $(seq 0 $((GPUS - 1))); do # with a device file for each, CUDA_VISIBLE_DEVICES is set as on a real cluster
  [ -e "$DIR/dev/nvidia$g" ] || mknod "$DIR/dev/nvidia$g" c 1 3
  echo "Name=gpu File=$DIR/dev/nvidia$g" >>"$DIR/gres.conf"
done
echo 'CgroupPlugin=autodetect' >"$DIR/cgroup.conf"
if [ -e /usr/include/slurm/spank.h ] && command -v gcc >/dev/null; then
  gcc -O1 -shared -fPIC -o "$DIR/fake_pyxis.so" "$(dirname "${BASH_SOURCE[0]}")/fake_pyxis.c"
  echo "optional $DIR/fake_pyxis.so" >"$DIR/plugstack.conf" # read by clients and daemons beside slurm.conf
fi

# 3. daemons
alive() { # PIDFILE NAME: a killed daemon may stay a zombie where process 1 is slow to reap; that is not alive
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [ -n "$pid" ] && grep -qs "^Name:[[:space:]]*$2" "/proc/$pid/status" && ! grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status"
}
if ! alive "$DIR/pid/munged.pid" munged; then
  rm -f "$DIR/munge/socket"
  munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --pid-file="$DIR/pid/munged.pid" \
    --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge/seed" --num-threads=2
fi
alive "$DIR/pid/slurmctld.pid" slurmctld || slurmctld -i || { tail -n 5 "$DIR/log/slurmctld.log" >&2; exit 1; }
start_node() { # NAME
  mkdir -p "$DIR/spool/$1"
  if unshare --mount true 2>/dev/null; then
    # shellcheck disable=SC2016  # for that shell to expand
    unshare --mount sh -c 'mount -t tmpfs none "$1" && exec slurmd -N "$2"' - "$DIR/local" "$1"
  else
    slurmd -N "$1"
  fi
}
for i in $(seq 0 "$LAST"); do alive "$DIR/pid/slurmd.node$i.pid" slurmd || start_node "node$i"; done

# 4. wait until every node is usable
began=$SECONDS up=0
end=$((SECONDS + 60))
while [ "$SECONDS" -lt "$end" ]; do
  up=$(timeout 5 sinfo -h -N -p batch -o '%N %T' 2>/dev/null | grep -cE ' (idle|mixed|allocated|completing)$' || true)
  [ "$up" = "$NODES" ] && break
  if [ $((SECONDS - began)) -ge 3 ]; then # a controller that came back may wait for its nodes to register again
    timeout 5 scontrol reconfigure 2>/dev/null || true
    timeout 5 scontrol update nodename="node[0-$LAST]" state=resume 2>/dev/null || true
    began=$SECONDS
  fi
  sleep 0.1
done
if [ "$up" != "$NODES" ]; then
  say "only $up of $NODES nodes came up; see $DIR/log"
  tail -n 3 "$DIR"/log/slurm*.log >&2
  exit 1
fi
say "up: $NODES nodes with $CPUS CPUs and $GPUS GPUs each"
echo "export SLURM_CONF=$SLURM_CONF"
