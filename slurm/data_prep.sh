#!/usr/bin/env bash
#SBATCH --job-name=data_prep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=%x_%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --export=PATH,HOME,USER,LANG,MODEL,PYTHON,SITE_ENV,FLEMING_ROOT
#
#| From the knowledge graph to a training corpus: three links of jobs on CPUs, the middle one an array over shards.
#|
#|   slurm/data_prep.sh [--tiny] [options of sbatch] [name=value ...]
#|
#|   questions   build_kg.py and build_rods.py, a worker for each of --cpus-per-task; in OUT/rods
#|   chains      distill_cot.py, one task of the array for each shard of the questions; in OUT/cot
#|   corpus      the shards joined, and build_indexed.py; in OUT with the questions of each split, then OUT/DONE
#|
#| It runs on the login node and prints the id of the last job. Each link goes on where it was, and a failed one cancels
#| those after it. --tiny makes 144 questions. The names, with their values if not given:
#|   out=data/sft_$MODEL   folder of the corpus (data.dir of the recipes)
#|   items=100000          questions          graph=data/kg   the graph, built if it is not there
#|   shards=8              tasks of the array tokenizer=models/Qwen2.5-7B-Instruct (MODEL=32b: Qwen3-32B)
#|   pack=8192             tokens of a pack   after=          id of a job to wait for
#|   rods= teacher=        more options of build_rods.py and distill_cot.py, as in
#|                         teacher="--teacher endpoint --endpoint http://node7:8000/v1 --model NAME"
ROOT=${FLEMING_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
[ -f "$ROOT/slurm/lib.sh" ] || { echo "error: $ROOT is not a checkout of fleming-nemo; run slurm/data_prep.sh in one" >&2; exit 2; }
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
# shellcheck source=slurm/lib/submit.sh
. "$ROOT/slurm/lib/submit.sh"

if wants_help "$@"; then usage "$0"; exit 0; fi
MODEL=${MODEL:-7b} LINK=
declare -A is=([out]=data/sft_$MODEL [items]=100000 [graph]=data/kg [shards]=8 [pack]=8192 [after]="" [rods]="" [teacher]=""
  [tokenizer]=$([ "$MODEL" = 32b ] && echo models/Qwen3-32B || echo models/Qwen2.5-7B-Instruct))
OPTIONS=() TINY=()
for word in "$@"; do
  case $word in
    --tiny) TINY=(--tiny) is[shards]=2 is[tokenizer]=nano is[pack]=256 ;;
    --link=*) LINK=${word#*=} ;;
    -*) OPTIONS+=("$word") ;;
    *=*)
      [ -n "${is[${word%%=*}]+known}" ] || fail "data_prep.sh knows no ${word%%=*}; there are ${!is[*]}"
      is[${word%%=*}]=${word#*=}
      ;;
    *) fail "data_prep.sh takes name=value, not '$word'; see slurm/data_prep.sh --help" ;;
  esac
done
out=${is[out]}
read -ra rods <<<"${is[rods]}"
read -ra teacher <<<"${is[teacher]}"

questions() {
  if [ ${#TINY[@]} -gt 0 ]; then
    prepare build_rods --out "$out/rods" --sft 96 --rl 24 --heldout 24 --diseases 16
    return
  fi
  [ -f "${is[graph]}/manifest.json" ] || prepare build_kg --out "${is[graph]}"
  prepare build_rods --out "$out/rods" --items "${is[items]}" --graph "${is[graph]}" --workers "$SLURM_CPUS_PER_TASK" \
    "${rods[@]}"
}

chains() { distil --shard "$SLURM_ARRAY_TASK_ID/${is[shards]}"; }

corpus() {
  distil --join "${is[shards]}"
  cp "$out"/rods/items_*.jsonl "$out/rods/funnel.json" "$out"
  prepare build_indexed --items "$out/items_sft.jsonl" --chains "$out/cot/cot.jsonl" --tokenizer "${is[tokenizer]}" \
    --pack "${is[pack]}" --workers "$SLURM_CPUS_PER_TASK" --out "$out"
  cp "$out/manifest.json" "$out/.DONE" && mv "$out/.DONE" "$out/DONE"
}

distil() { prepare distill_cot --items "$out/rods/items_sft.jsonl" --out "$out/cot" "${teacher[@]}" "$@"; }
prepare() { alone "$PYTHON" "$ROOT/data_prep/$1.py" "${@:2}"; }

if [ -n "$LINK" ]; then
  enter_job
  [ ! -f "$out/DONE" ] || { echo "$out is finished; give another out=... to prepare again"; exit 0; }
  mkdir -p "$out"
  "$LINK"
  exit 0
fi

[ -z "${SLURM_JOB_ID:-}" ] || fail "data_prep.sh submits jobs of its own; run it on the login node: slurm/data_prep.sh"
enter_site
common=(--output="$(slurm_logs "$out")/%x_%j.out" "${OPTIONS[@]}")
words=("$ROOT/slurm/data_prep.sh" "${TINY[@]}")
for name in "${!is[@]}"; do words+=("$name=${is[$name]}"); done
first=$(send --job-name=questions ${is[after]:+--dependency=afterok:${is[after]}} "${common[@]}" "${words[@]}" --link=questions)
array=$(send --job-name=chains --array="1-${is[shards]}" --dependency=afterok:"$first" "${common[@]}" "${words[@]}" --link=chains)
last=$(send --job-name=corpus --dependency=afterok:"$array" "${common[@]}" "${words[@]}" --link=corpus)
echo "questions $first -> chains ${array}_[1-${is[shards]}] -> corpus $last, logs in $out/slurm" >&2
echo "$last"
