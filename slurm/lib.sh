# shellcheck shell=bash
# Sourced by every script of this folder, which has set ROOT, the checkout: `run_stage STAGE [--tiny] [key=value ...]`
# runs recipes/STAGE_$MODEL.py with one task per process, and goes on where it was whatever ended it before.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 2; }
say() { echo "$(date +%FT%T) $*"; }

# The comment block below a script's #SBATCH lines.
usage() { sed -n 's/^#| \{0,1\}//p' "$1"; }
wants_help() { case " $* " in *" --help "* | *" -h "*) true ;; *) false ;; esac; }

# shellcheck source=slurm/lib/runtime.sh
. "$ROOT/slurm/lib/runtime.sh"
# shellcheck source=slurm/lib/nodes.sh
. "$ROOT/slurm/lib/nodes.sh"
# shellcheck source=slurm/lib/servers.sh
. "$ROOT/slurm/lib/servers.sh"
# shellcheck source=slurm/lib/attempt.sh
. "$ROOT/slurm/lib/attempt.sh"

# Read the settings of the cluster, and go to the folder below which runs/, data/ and models/ lie.
load_site() {
  SITE_ENV=${SITE_ENV:-$ROOT/slurm/site.env}
  [ -f "$SITE_ENV" ] || fail "there is no site file $SITE_ENV; write one like slurm/site.env, or point SITE_ENV at yours"
  # shellcheck source=slurm/site.env
  . "$SITE_ENV"
  WORK=${WORK:-$ROOT}
  { mkdir -p "$WORK" && cd "$WORK"; } 2>/dev/null || fail "cannot go to $WORK; set WORK in $SITE_ENV to a folder that all nodes see"
}

# The beginning of every batch job.
enter_job() {
  if wants_help "$@"; then usage "$0"; exit 0; fi
  [ -n "${SLURM_JOB_ID:-}" ] || fail "submit this with sbatch, for example: sbatch $0 --tiny"
  load_site
  set_runtime
  heed_signals
  unset SLURM_EXPORT_ENV # the allow list of sbatch is not meant for the tasks: they get all that is set here
  export PYTHONUNBUFFERED=1
}

# field NAME, or field SECTION NAME: one value of the resolved config in $CONFIG
field() {
  if [ $# -eq 1 ]; then
    sed -n "s/^$1: //p" <<<"$CONFIG"
  else
    sed -n "/^$1:/,/^[^ ]/s/^  $2: //p" <<<"$CONFIG"
  fi
}

# Number of processes: what the parallel sizes say, or all tasks of the trainer's nodes where parallel.dp is 0.
num_ranks() {
  local dp
  dp=$(field parallel dp)
  if [ "$dp" -eq 0 ]; then
    echo "$TASKS"
  else
    echo $(($(field parallel tp) * $(field parallel pp) * $(field parallel cp) * dp))
  fi
}

# Arguments for a recipe that chooses its layout by the size of the run; a run in small has a size of its own.
size_for() { # RECIPE ARGUMENTS
  local recipe=$1
  shift
  case " $* " in *" --gpus"* | *" --tiny "*) return ;; esac
  if grep -q '^def recipe(.*gpus' "$recipe"; then echo "--gpus $TASKS"; fi
}

# resolve RECIPE [ARGUMENTS]: sets SIZE and CONFIG.
resolve() {
  read -ra SIZE <<<"$(size_for "$@")"
  CONFIG=$(here "$PYTHON" "$1" --print-config "${SIZE[@]}" "${@:2}") || exit $?
}

# run_stage STAGE [ARGUMENTS]: by the recipe itself, or by the program in $PROGRAM, which takes the recipe's path first
# and adds $RUN_SUFFIX to its run directory. The script may define after_run RUN_DIR, called when the run is finished.
run_stage() {
  local stage=$1
  shift
  enter_job "$@"
  local recipe=$ROOT/recipes/${stage}_${MODEL:-7b}.py
  [ -f "$recipe" ] || fail "there is no recipes/$(basename "$recipe"); MODEL=${MODEL:-7b} is not available for this stage, use MODEL=7b"
  split_nodes
  resolve "$recipe" "$@"
  share_with_servers && resolve "$recipe" "$@"

  local run_dir ranks
  run_dir=$(field run_dir)${RUN_SUFFIX:-}
  ranks=$(num_ranks)
  spread "$ranks"
  check_shared "$run_dir"
  begin_attempt "$run_dir"

  MASTER_ADDR=${TRAINERS[0]}
  MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000)) # below the ephemeral range
  export MASTER_ADDR MASTER_PORT
  say "${PROGRAM:+${PROGRAM##*/} }$stage: $ranks processes on $NODES nodes, attempt ${SLURM_RESTART_COUNT:-0}, logs in $LOGS"
  # USR2 asks a rank to save and leave; before it can heed that, the signal must not end it.
  nodes_of "$NODES" $((ranks / NODES)) --label --output="$LOGS/rank_%t.log" -- \
    env --ignore-signal=USR2 "$PYTHON" ${PROGRAM:+"$PROGRAM"} "$recipe" "${SIZE[@]}" "$@"
  run_attempt "$run_dir" "$recipe" "${SIZE[@]}" "$@"
}
