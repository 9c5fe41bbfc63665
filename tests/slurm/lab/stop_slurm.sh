#!/usr/bin/env bash
# Stop what start_slurm.sh started, by pid file, and forget it: jobs, then daemons, then job steps that outlived them.
set -uo pipefail
DIR=${SLURM_LAB_DIR:-/var/tmp/slurm-lab}
export SLURM_CONF=$DIR/slurm.conf
[ -d "$DIR/pid" ] || exit 0

alive() { grep -qs "^Name:[[:space:]]*$2" "/proc/$1/status" && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }
stop() { # PIDFILE NAME
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  if [ -n "$pid" ] && alive "$pid" "$2"; then
    kill "$pid" 2>/dev/null
    for _ in $(seq 1 50); do
      alive "$pid" "$2" || break
      sleep 0.1
    done
    alive "$pid" "$2" && kill -9 "$pid" 2>/dev/null
  fi
  rm -f "$1"
}

tree() { # PID: all below it, children first
  local child
  # shellcheck disable=SC2013  # words are what that file holds
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
    tree "$child"
    echo "$child"
  done
}

if timeout 5 squeue -h >/dev/null 2>&1; then
  timeout 5 squeue -h -o %A | sort -u | xargs -r timeout 10 scancel 2>/dev/null
  for _ in $(seq 1 80); do
    [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
    sleep 0.1
  done
fi
for file in "$DIR"/pid/slurmd.*.pid; do [ -e "$file" ] && stop "$file" slurmd & done
stop "$DIR/pid/slurmctld.pid" slurmctld &
wait
# Step daemons outlive slurmd; their command line is overwritten by a title, so they are known by the files they hold.
for proc in /proc/[0-9]*; do
  grep -qs '^Name:[[:space:]]*slurmstepd' "$proc/status" || continue
  if readlink "$proc/cwd" "$proc"/fd/* 2>/dev/null | grep -qF "$DIR/"; then
    { tree "${proc#/proc/}"; echo "${proc#/proc/}"; } | xargs -r kill -9 2>/dev/null
  fi
done
stop "$DIR/pid/munged.pid" munged
rm -rf "$DIR/state" "$DIR/spool" "$DIR/log"
exit 0
