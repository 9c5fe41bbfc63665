#!/usr/bin/env bash
#SBATCH --job-name=sft_32b
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
#| Chain-of-thought cold start of the 32B model (recipes/sft_32b.py).
#|
#|   sbatch slurm/sft_32b.sh [--tiny] [key.sub=value ...]
#|
#| The layout goes by the number of tasks, 16, 32 or 64; --seq-length 32768 takes the one for long chains.
#| Submit from the root of the checkout (or set FLEMING_ROOT). --tiny runs the recipe in small, on CPUs. What the
#| cluster is asked for can be changed as always: sbatch --nodes=2 --partition=gpu slurm/sft_32b.sh
#| MODEL chooses recipes/sft_$MODEL.py (default 32b); slurm/site.env holds the cluster's own settings.
#| The job requeues itself before its time limit and goes on from the newest checkpoint; logs are in RUN_DIR/logs.
ROOT=${FLEMING_ROOT:-${SLURM_SUBMIT_DIR:-$(cd "$(dirname "$0")/.." && pwd)}}
[ -f "$ROOT/slurm/lib.sh" ] || { echo "error: $ROOT is not a checkout of fleming-nemo; submit from its root" >&2; exit 2; }
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
MODEL=${MODEL:-32b} run_stage sft "$@"
