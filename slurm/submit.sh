#!/usr/bin/env bash
#| Submit a script of this folder with what slurm/site.env says: partition, account, qos.
#|
#|   slurm/submit.sh [options of sbatch] slurm/SCRIPT.sh [arguments of the script]
#|
#| Prints the job's id. What the cluster cannot give is refused here, in a sentence; sbatch itself would let some of
#| it wait for ever.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
# shellcheck source=slurm/lib/submit.sh
. "$ROOT/slurm/lib/submit.sh"
for word in "$@"; do
  case $word in
    *.sh) script=$word && break ;;
    -h | --help) usage "$0" && exit ;;
  esac
done
[ -f "${script:-}" ] || fail "name a script of slurm/, for example: slurm/submit.sh --nodes=2 slurm/sft_7b.sh --tiny"
enter_site
send "$@"
