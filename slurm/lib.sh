# shellcheck shell=bash
# Sourced by the batch scripts of this folder: `run_stage STAGE [--tiny] [key=value ...]` runs recipes/STAGE_$MODEL.py
# with one task per process, starts again where it was after a preemption or at the time limit, and stops when done.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }

# The comment block below a script's #SBATCH lines.
usage() { sed -n 's/^#| \{0,1\}//p' "$1"; }

# field NAME, or field SECTION NAME: one value of the resolved config in $CONFIG
field() {
  if [ $# -eq 1 ]; then
    sed -n "s/^$1: //p" <<<"$CONFIG"
  else
    sed -n "/^$1:/,/^[^ ]/s/^  $2: //p" <<<"$CONFIG"
  fi
}

# Number of processes: what the parallel sizes say, or the whole allocation where parallel.dp is 0.
num_ranks() {
  local dp
  dp=$(field parallel dp)
  if [ "$dp" -eq 0 ]; then
    echo "$SLURM_NTASKS"
  else
    echo $(($(field parallel tp) * $(field parallel pp) * $(field parallel cp) * dp))
  fi
}

# The next free logs/attempt_K of the run directory, with logs/latest pointing at it.
new_log_folder() {
  local logs=$1/logs k=1
  while [ -e "$logs/attempt_$k" ]; do k=$((k + 1)); done
  mkdir -p "$logs/attempt_$k" || fail "cannot write to the run directory $1; choose another with run_dir=..."
  ln -sfn "attempt_$k" "$logs/latest"
  echo "$logs/attempt_$k"
}

# with_gpus COMMAND ARGUMENTS: the same with the size of the allocation, by which a recipe chooses its layout; a run in
# small has a size of its own.
with_gpus() {
  case " $* " in
    *" --gpus"* | *" --tiny "* | *" --help "* | *" -h "*) "$@" ;;
    *) "$@" --gpus "${SLURM_NTASKS:-0}" ;;
  esac
}

run_stage() {
  local stage=$1
  shift
  case " $* " in *" --help "* | *" -h "*) usage "$0"; exit 0 ;; esac
  [ -n "${SLURM_JOB_ID:-}" ] || fail "submit this with sbatch, for example: sbatch $0 --tiny"
  cd "$ROOT"
  # shellcheck source=slurm/site.env
  . "${SITE_ENV:-$ROOT/slurm/site.env}"
  local python=${PYTHON:-$ROOT/.venv/bin/python} recipe=recipes/${stage}_${MODEL:-7b}.py
  [ -f "$recipe" ] || fail "there is no $recipe; MODEL=${MODEL:-7b} is not available for this stage, use MODEL=7b"
  command -v "$python" >/dev/null || fail "there is no Python at $python; run make there, or set PYTHON in slurm/site.env"
  CONFIG=$("$python" "$recipe" --print-config "$@") || exit $?

  local run_dir ranks nodes logs
  run_dir=$(field run_dir)
  if [ -f "$run_dir/DONE" ]; then
    echo "$run_dir is finished; give another run_dir=... to run again"
    exit 0
  fi
  ranks=$(num_ranks)
  [ "$ranks" -le "$SLURM_NTASKS" ] || fail "the run needs $ranks tasks, but the allocation has $SLURM_NTASKS; ask for more nodes"
  nodes=$((ranks < SLURM_JOB_NUM_NODES ? ranks : SLURM_JOB_NUM_NODES))
  [ $((ranks % nodes)) -eq 0 ] || fail "$ranks processes do not spread evenly over $nodes nodes; change --nodes or parallel.dp"
  logs=$(new_log_folder "$run_dir")
  export FLEMING_LOGS=$logs # where a rank that hangs writes its stacks

  MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n1)
  MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000)) # below the ephemeral range
  export MASTER_ADDR MASTER_PORT PYTHONUNBUFFERED=1
  unset SLURM_EXPORT_ENV # the allow list of sbatch is not meant for the tasks: they get all that is set here
  local per_node=$((ranks / nodes)) cpus
  cpus=$((SLURM_CPUS_ON_NODE / per_node))
  echo "$(date +%FT%T) $stage: $ranks processes on $nodes nodes, attempt ${SLURM_RESTART_COUNT:-0}, logs in $logs"

  srun --nodes="$nodes" --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cpus" --export=ALL \
    --kill-on-bad-exit=1 --wait=60 --label --output="$logs/rank_%t.log" \
    "$python" "$recipe" "$@" &
  local srun_pid=$! code=0
  # Shortly before the time limit, and when preempted. The run goes on from its newest checkpoint.
  trap 'echo "$(date +%FT%T) time is nearly up: requeue"; scontrol requeue "$SLURM_JOB_ID"' USR1
  # A signal ends `wait` early; the loop waits until srun itself has ended.
  while kill -0 "$srun_pid" 2>/dev/null; do
    code=0
    wait "$srun_pid" || code=$?
  done
  if [ "$code" -ne 0 ]; then
    echo "$(date +%FT%T) failed with exit code $code; the end of $logs/rank_0.log:"
    tail -n 5 "$logs/rank_0.log"
    [ ! -f "$run_dir/FAILED.json" ] || cat "$run_dir/FAILED.json"
  fi
  exit "$code"
}
