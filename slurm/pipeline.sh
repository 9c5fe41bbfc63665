#!/usr/bin/env bash
#| The whole chain as dependent jobs: data -> SFT -> GRPO stage 1 -> mining -> GRPO stage 2 -> evaluation and report.
#|
#|   slurm/pipeline.sh [--tiny] [options of sbatch] [dir=runs/pipeline_7b] [name=value ...] [key.sub=value ...]
#|
#| It runs on the login node and prints the id of the last job; everything goes into one folder, dir, which ends with
#| report.html. MODEL=7b or 32b (which reasons already and has no SFT). Options of sbatch, such as --nodes=2, are for the
#| links on GPUs; names of slurm/data_prep.sh --help (items, shards, teacher ...) for the data; all other key.sub=value go
#| to every recipe. A failed link cancels what depends on it; the same command again does what is left.
ROOT=${FLEMING_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
# shellcheck source=slurm/lib/submit.sh
. "$ROOT/slurm/lib/submit.sh"

if wants_help "$@"; then usage "$0"; exit 0; fi
[ -z "${SLURM_JOB_ID:-}" ] || fail "pipeline.sh submits jobs of its own; run it on the login node: slurm/pipeline.sh"
export MODEL=${MODEL:-7b}
dir=runs/pipeline_$MODEL
options=() data=() training=() tiny=()
for word in "$@"; do
  case $word in
    --tiny) tiny=(--tiny) ;;
    -*) options+=("$word") ;;
    dir=*) dir=${word#*=} ;;
    items=* | graph=* | shards=* | pack=* | tokenizer=* | rods=* | teacher=*) data+=("$word") ;;
    *=*) training+=("$word") ;;
    *) fail "pipeline.sh takes name=value, not '$word'; see slurm/pipeline.sh --help" ;;
  esac
done
enter_site
logs=$(slurm_logs "$dir")

before=$("$ROOT/slurm/data_prep.sh" "${tiny[@]}" out="$dir/data" "${data[@]}") || exit $?

# link SCRIPT RUN [WEIGHTS]: after the one before, in dir/RUN, from the weights of dir/WEIGHTS or else the recipe's own.
link() {
  local id
  id=$(send --dependency=afterok:"$before" --output="$logs/%x_%j.out" "${options[@]}" "$ROOT/slurm/$1.sh" "${tiny[@]}" \
    run_dir="$dir/$2" ${3:+model.weights="$dir/$3"} data.dir="$dir/data" data.synthesis=none "${training[@]}") || exit $?
  echo "$1 $id, after $before" >&2
  before=$id
}

if [ "$MODEL" = 32b ]; then
  link grpo_stage1 grpo_stage1
else
  link "sft_$MODEL" sft
  link grpo_stage1 grpo_stage1 sft
fi
link mine_hard grpo_stage2 grpo_stage1
link grpo_stage2 grpo_stage2 grpo_stage1
link evaluate evaluation grpo_stage2
echo "the report will be $dir/report.html, logs of the jobs are in $dir/slurm" >&2
echo "$before"
