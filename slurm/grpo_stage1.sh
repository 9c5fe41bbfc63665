#!/usr/bin/env bash
#SBATCH --job-name=grpo_stage1
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=%x_%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --export=PATH,HOME,USER,LANG,MODEL,PYTHON,SITE_ENV,FLEMING_ROOT,ROLLOUT_NODES
#
#| GRPO stage 1: Easy and Moderate questions 1:1.
#|
#|   sbatch slurm/grpo_stage1.sh [--tiny] [key.sub=value ...]
#|
#| Rollouts by vLLM (rollout.engine): the last ROLLOUT_NODES nodes serve them, half of several if nothing is said, or
#| the second component of a heterogeneous job: sbatch --nodes=4 : --nodes=2 --exclusive --gpus-per-node=8 slurm/grpo_stage1.sh
#| With --no-kill (for each component) the loss of such a node does not end the job.
#| Submit from the root of the checkout (or set FLEMING_ROOT). --tiny runs the recipe in small, on CPUs. What the
#| cluster is asked for can be changed as always: sbatch --nodes=2 --partition=gpu slurm/grpo_stage1.sh
#| MODEL chooses recipes/grpo_stage1_$MODEL.py (default 7b); slurm/site.env holds the cluster's own settings.
#| The job requeues itself before its time limit and goes on from the newest checkpoint; logs are in RUN_DIR/logs.
ROOT=${FLEMING_ROOT:-${SLURM_SUBMIT_DIR:-$(cd "$(dirname "$0")/.." && pwd)}}
[ -f "$ROOT/slurm/lib.sh" ] || { echo "error: $ROOT is not a checkout of fleming-nemo; submit from its root" >&2; exit 2; }
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
run_stage grpo_stage1 "$@"
