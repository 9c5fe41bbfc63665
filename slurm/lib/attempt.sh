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

# From now on a signal ends neither this shell nor, by itself, what it waits for.
heed_signals() {
  SRUN_PID='' STOPPED_BY=''
  trap 'ask_to_stop USR1' USR1
  trap 'ask_to_stop TERM' TERM
}

# ask_to_stop SIGNAL: every rank saves and leaves, and those that do not are ended before Slurm ends the job, which it would
# not start again. Slurm's early signal is the same for the end of the time and for a preemption; TERM comes with a
# preemption, but also with scancel and scontrol requeue, which `attempt end` finds out for itself.
ask_to_stop() {
  [ -z "$STOPPED_BY" ] || return 0
  STOPPED_BY=$([ "$1" = USR1 ] && echo time || echo other)
  if scontrol show job -o "$SLURM_JOB_ID" | grep -q ' PreemptTime=[0-9]'; then STOPPED_BY=preempt; fi
  say "the job has to stop ($STOPPED_BY): the run saves and leaves"
  [ -z "$SRUN_PID" ] || keep_asking "$SRUN_PID" "${STOP_PATIENCE_S:-180}" &
}

# keep_asking SRUN_PID SECONDS: more than once, as a rank that has just begun does not listen yet.
keep_asking() {
  local end=$((SECONDS + $2))
  while kill -0 "$1" 2>/dev/null; do
    if [ "$SECONDS" -ge "$end" ]; then
      say "it is still there after $2 s, and is ended"
      kill "$1"
      return
    fi
    # To the steps. It would go on trying while the job is between two states, and reach the next attempt of the same id.
    timeout 3 scancel --signal=USR2 "$SLURM_JOB_ID" || true
    sleep $((end - SECONDS < 10 ? end - SECONDS : 10))
  done
}

# follow SRUN_PID: wait for a step, whatever signals come; its exit code in CODE.
follow() {
  SRUN_PID=$1 CODE=0
  # A signal ends `wait` early; the loop waits until srun itself has ended, and the last line asks how.
  while kill -0 "$SRUN_PID" 2>/dev/null; do wait "$SRUN_PID" || true; done
  wait "$SRUN_PID" || CODE=$?
  SRUN_PID=
}

# run_attempt RUN_DIR COMMAND: look at the nodes, then start the trainer's step, which is in STEP, and end the job as it
# ended. COMMAND is the recipe with its arguments.
run_attempt() {
  local run_dir=$1 ranks=("${STEP[@]}") code=0
  if [ "${PREFLIGHT:-1}" != 0 ]; then
    nodes_of "$NODES" 1 --label --output="$LOGS/preflight.log" -- \
      env --ignore-signal=USR2 "$PYTHON" -m fleming_nemo.launch.preflight_nodes "${@:2}"
    "${STEP[@]}" &
    follow $!
    code=$CODE
    [ "$code" -eq 0 ] || { say "the check of the nodes ended with exit code $code:"; tail -n 5 "$LOGS/preflight.log"; }
  fi
  if [ -n "$STOPPED_BY" ]; then
    code=85
  elif [ "$code" -eq 0 ]; then
    start_servers "$run_dir"
    "${ranks[@]}" &
    follow $!
    code=$CODE
  fi
  trap '' USR1 TERM # nothing is left to be stopped, and what follows is short
  stop_servers
  finish_attempt "$run_dir" "$code"
}

# finish_attempt RUN_DIR CODE: record how the trainer ended, and end the job accordingly.
finish_attempt() {
  local run_dir=$1 code=$2 decision=0 nodes signal=()
  if [ "$code" -ne 0 ]; then
    say "ended with exit code $code; the end of $LOGS/rank_0.log:"
    tail -n 5 "$LOGS/rank_0.log" 2>/dev/null || true
    [ ! -f "$run_dir/FAILED.json" ] || cat "$run_dir/FAILED.json"
  fi
  case $STOPPED_BY in time | preempt) signal=(--signal "$STOPPED_BY") ;; esac
  nodes=$(attempt end "$run_dir" --code "$code" "${signal[@]}") || decision=$?
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

# alone PYTHON PROGRAM ARGUMENTS: one process with the cores of the job, for work that goes on by itself where it was;
# before the time is up, or when preempted, it is stopped and the job requeued.
alone() {
  say "$SLURMD_NODENAME: ${2##*/} ${*:3}" # the program, not its Python
  step_of --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" -- "$@"
  "${STEP[@]}" &
  follow $!
  case $STOPPED_BY in
    time | preempt) requeue && exit 0 ;;
    other) exit 143 ;;
  esac
  [ "$CODE" -eq 0 ] || exit "$CODE"
}
