#!/usr/bin/env bash
#SBATCH --job-name=evaluate
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --output=%x_%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --export=PATH,HOME,USER,LANG,MODEL,PYTHON,SITE_ENV,FLEMING_ROOT,ROLLOUT_NODES
#
#| Evaluate a model on the held-out questions, and write the report.
#|
#|   sbatch slurm/evaluate.sh [--tiny] [key.sub=value ...]
#|
#| model.weights names the run directory or Hugging Face folder (default: GRPO stage 2). Leaves report.html in the run
#| directory and, where that lies beside the stages of a pipeline, one of the whole pipeline there.
#| Submit from the root of the checkout (or set FLEMING_ROOT). --tiny runs the recipe in small, on CPUs. What the
#| cluster is asked for can be changed as always: sbatch --nodes=2 --partition=gpu slurm/evaluate.sh
#| MODEL chooses recipes/evaluate_$MODEL.py (default 7b); slurm/site.env holds the cluster's own settings.
#| The job requeues itself before its time limit and goes on from the newest checkpoint; logs are in RUN_DIR/logs.
ROOT=${FLEMING_ROOT:-${SLURM_SUBMIT_DIR:-$(cd "$(dirname "$0")/.." && pwd)}}
[ -f "$ROOT/slurm/lib.sh" ] || { echo "error: $ROOT is not a checkout of fleming-nemo; submit from its root" >&2; exit 2; }
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
write_report() { here "$PYTHON" -m fleming_nemo.cli report "$1" || fail "there is no report of $1; its own words are above"; }
after_run() { # RUN_DIR
  write_report "$1"
  if [ -d "$1/../grpo_stage2" ]; then write_report "$1/.."; fi
}
run_stage evaluate "$@"
