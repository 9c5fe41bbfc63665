#!/usr/bin/env bash
#SBATCH --job-name=mine_hard
#SBATCH --nodes=4
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
#| Mine hard questions for GRPO stage 2 with the policy of stage 1, without training.
#|
#|   sbatch slurm/mine_hard.sh [--tiny] [key.sub=value ...]
#|
#| Takes the recipe of the stage and leaves mined.json in its run directory, where the stage finds it; the mining itself
#| runs in RUN_DIR-mining.
#| Submit from the root of the checkout (or set FLEMING_ROOT). --tiny runs the recipe in small, on CPUs. What the
#| cluster is asked for can be changed as always: sbatch --nodes=2 --partition=gpu slurm/mine_hard.sh
#| MODEL chooses recipes/grpo_stage2_$MODEL.py (default 7b); slurm/site.env holds the cluster's own settings.
#| The job requeues itself before its time limit and goes on from the newest checkpoint; logs are in RUN_DIR/logs.
ROOT=${FLEMING_ROOT:-${SLURM_SUBMIT_DIR:-$(cd "$(dirname "$0")/.." && pwd)}}
[ -f "$ROOT/slurm/lib.sh" ] || { echo "error: $ROOT is not a checkout of fleming-nemo; submit from its root" >&2; exit 2; }
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
PROGRAM=$ROOT/data_prep/mine_hard.py RUN_SUFFIX=-mining run_stage grpo_stage2 "$@"
