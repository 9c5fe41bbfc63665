# shellcheck shell=bash
# One attempt at a run: its log folder, the signals that ask it to stop, and what follows from how it ended.
# `python -m fleming_nemo.launch.attempt` keeps the records and decides.

attempt() { here "$PYTHON" -m fleming_nemo.launch.attempt "$@"; }

# begin_attempt RUN_DIR: sets LOGS, or ends the job if the run is finished or not worth another attempt.
begin_attempt() {
  local code=0
  LOGS=$(attempt begin "$1") || code=$?
  case $code in
    0) ;;
    10)
      if declare -F after_run >/dev/null; then after_run "$1"; fi
      exit 0
      ;;
    *) exit $((code == 11 ? 2 : code)) ;;
  esac
  export FLEMING_LOGS=$LOGS # where a rank that hangs writes its stacks
}

# ask_to_stop SIGNAL: the early signal, USR1, is the same for the end of the time and for a preemption; and TERM comes
# with a preemption, but also with scancel and scontrol requeue, which `attempt end` finds out for itself.
ask_to_stop() {
  if scontrol show job -o "$SLURM_JOB_ID" | grep -q ' PreemptTime=[0-9]'; then
    STOPPED_BY=preempt
  elif [ "$1" = USR1 ]; then
    STOPPED_BY=time
  fi
  say "the job has to stop (${STOPPED_BY:-by $1}): the run saves and leaves"
  scancel --signal=USR2 "$SLURM_JOB_ID" # to the steps; a save takes no longer than a step and a checkpoint
}

# finish_attempt RUN_DIR SRUN_PID: wait for the trainer, record how it ended, and end the job accordingly.
finish_attempt() {
  local run_dir=$1 srun_pid=$2 code=0 decision=0 nodes
  STOPPED_BY=
  trap 'ask_to_stop USR1' USR1
  trap 'ask_to_stop TERM' TERM
  # A signal ends `wait` early; the loop waits until srun itself has ended.
  while kill -0 "$srun_pid" 2>/dev/null; do
    code=0
    wait "$srun_pid" || code=$?
  done
  trap '' USR1 TERM # nothing is left to be stopped, and what follows is short
  stop_servers
  if [ "$code" -ne 0 ]; then
    say "ended with exit code $code; the end of $LOGS/rank_0.log:"
    tail -n 5 "$LOGS/rank_0.log" 2>/dev/null || true
    [ ! -f "$run_dir/FAILED.json" ] || cat "$run_dir/FAILED.json"
  fi
  nodes=$(attempt end "$run_dir" --code "$code" ${STOPPED_BY:+--signal "$STOPPED_BY"}) || decision=$?
  case $decision in
    0) if declare -F after_run >/dev/null; then after_run "$run_dir"; fi ;;
    20) requeue ;;
    21) requeue "$nodes" ;;
    *) exit $((code > 0 ? code : decision)) ;;
  esac
  exit 0
}

# requeue [NODES]: this job again, without nodes that have shown themselves bad.
requeue() {
  local excluded
  excluded=$(scontrol show job -o "$SLURM_JOB_ID" | grep -o ' ExcNodeList=[^ ]*' | head -n1 | cut -d= -f2)
  say "requeue${1:+, without $1}"
  scontrol requeue "$SLURM_JOB_ID" || fail "the job cannot be requeued; submit it again, and the run goes on where it was"
  # Only a job that waits can be told; this shell outlives the requeue for as long as it ignores TERM.
  if [ -n "${1:-}" ]; then
    [ "$excluded" = "(null)" ] && excluded= || excluded+=,
    scontrol update JobId="$SLURM_JOB_ID" ExcNodeList="$excluded$1"
  fi
}

# alone COMMAND: one process with the cores of the job, for work that goes on by itself where it was; before the time is
# up, or when preempted, it is stopped and the job requeued.
alone() {
  local pid code=0
  step_of --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" --kill-on-bad-exit=1 -- "$@"
  say "${*##*/}"
  "${STEP[@]}" &
  pid=$!
  trap 'trap "" USR1 TERM; kill "$pid"; wait "$pid"; requeue; exit 0' USR1 TERM
  wait "$pid" || code=$?
  trap - USR1 TERM
  [ "$code" -eq 0 ] || exit "$code"
}
