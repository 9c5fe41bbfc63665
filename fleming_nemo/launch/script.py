"""The lines that a batch script of submitit gets from us, before and after the one that starts the ranks.

They keep the same account as the scripts in slurm/: `launch.attempt begin` and `end` decide whether a job goes on.  The
environment of the job is an allow list, by name: no value of it stands in the script, and no secret reaches a node.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch.queue import call

SIGNAL = "B:USR1@300"
"""Slurm tells the batch shell so many seconds before the time limit, and at a preemption."""
_CHECKOUT = Path(__file__).resolve().parents[2]
_ALWAYS = ("PATH", "HOME", "USER", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "SITE_ENV")
_FAMILIES = ("OMP_", "NCCL_", "GLOO_", "CUDA_", "TORCH_", "NVTE_", "FLEMING_", "HF_HOME", "XDG_CACHE_HOME")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|COOKIE|AUTH", re.IGNORECASE)

RANKS = "ranks"
"""The shell function that starts the ranks; submitit writes its own command behind it."""

_BEFORE = r"""
{site}
set -uo pipefail
unset SLURM_EXPORT_ENV # the allow list of sbatch is not meant for the tasks: they get all that is set here
runs=({runs})
run=${{runs[${{SLURM_ARRAY_TASK_ID:-0}}]}}
attempt() {{ {python} -m fleming_nemo.launch.attempt "$@"; }}
logs=$(attempt begin "$run") || {{ code=$?; [ "$code" -ne 10 ] || exit 0; exit "$code"; }}
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000)) # below the ephemeral range
export MASTER_ADDR MASTER_PORT FLEMING_LOGS="$logs" PYTHONUNBUFFERED=1
code=0 step=0 why=()
heed() {{
  why=(--signal time) # `attempt end` tells a preemption from the time limit
  echo "$(date +%FT%T) asked to stop: the ranks save and end" >&2
  # To every step, not to this shell; again and again, for a task that has just started may not hear of it.
  while kill -0 "$step" 2>/dev/null; do
    scancel --signal=USR2 "$SLURM_JOB_ID"
    sleep 10
  done &
}}
within() {{ # options of srun, and what stands before the command, for the container that site.env names
  into=() prefix=()
  local mounts=$PWD:$PWD,{package}:{package}${{CONTAINER_MOUNTS:+,$CONTAINER_MOUNTS}}
  case ${{CONTAINER_RUNTIME:-none}} in
    pyxis)
      into=(--container-image="$CONTAINER_IMAGE" --container-mounts="$mounts" --container-workdir="$PWD")
      into+=(--no-container-mount-home)
      ;;
    apptainer) prefix=(apptainer exec ${{SLURM_GPUS_ON_NODE:+--nv}} --bind "$mounts" --pwd "$PWD" "$CONTAINER_IMAGE") ;;
  esac
}}
ranks() {{
  within
  [ "${{CONTAINER_RUNTIME:-none}}" = none ] || set -- "${{PYTHON:-python}}" "${{@:2}}"
  # A signal that comes before Python has a handler would end the task: ignored until then.
  srun --unbuffered --kill-on-bad-exit=1 --wait=60 --label --export=ALL \
    --cpus-per-task=$((SLURM_CPUS_ON_NODE >= {per_node} ? SLURM_CPUS_ON_NODE / {per_node} : 1)) \
    --output="$logs/rank_%t.log" {more}${{into[@]+"${{into[@]}}"}} \
    ${{prefix[@]+"${{prefix[@]}}"}} env --ignore-signal=USR1,USR2 "$@" &
  step=$!
  trap heed USR1
  # A signal ends `wait` early; bash keeps the code of a step that has ended for the last one.
  while kill -0 "$step" 2>/dev/null; do wait "$step"; done
  wait "$step"
  code=$?
}}
""".strip()

_AFTER = r"""
trap '' USR1 TERM # a requeue ends this shell, but not before it has named the bad nodes
verdict=0
bad=$(attempt end "$run" --code "$code" ${why[@]+"${why[@]}"}) || verdict=$?
case $verdict in
  0) exit 0 ;;
  20 | 21)
    scontrol requeue "$SLURM_JOB_ID"
    # Bad nodes can be named only now, before the job starts again.
    [ "$verdict" -eq 20 ] || scontrol update "JobId=$SLURM_JOB_ID" "ExcNodeList=$bad"
    ;;
esac
exit "$((code ? code : verdict))"
""".strip()


def before(runs: Sequence[Path], per_node: int, srun_args: Iterable[str] = (), site: Path | None = None) -> list[str]:
    """Lines up to the start of the ranks.

    Args:
        runs: the run directory of each task of the array, or the only one.
        per_node: tasks on a node.
        srun_args: the caller's own, say of a container.
        site: the cluster's settings, sourced first.
    """
    quoted = " ".join(shlex.quote(str(run.absolute())) for run in runs)
    more = "".join(f"{shlex.quote(word)} " for word in srun_args)
    return _BEFORE.format(
        site=f". {shlex.quote(str(site))}" if site else "# no site.env",
        runs=quoted,
        python=shlex.quote(sys.executable),
        per_node=per_node,
        package=shlex.quote(str(_CHECKOUT)),
        more=more,
    ).splitlines()


def after() -> list[str]:
    """Lines after the ranks have ended: the account is closed, and the job requeued if it says so."""
    return _AFTER.splitlines()


def site_env(environ: Mapping[str, str]) -> Path | None:
    """$SITE_ENV, else slurm/site.env of the checkout that this package lies in, if it does."""
    given = environ.get("SITE_ENV")
    file = Path(given) if given else _CHECKOUT / "slurm" / "site.env"
    if given and not file.is_file():
        raise UserError(f"SITE_ENV names {given}, which is no file; copy slurm/site.env there, or unset SITE_ENV")
    return file.absolute() if file.is_file() else None


def asked_for(site: Path | None) -> dict[str, str]:
    """Partition, account and QOS that site.env names for what is submitted: SBATCH_PARTITION and so on.

    Errors: UserError with bash's words where the file cannot be sourced.
    """
    if site is None:
        return {}
    names = ("partition", "account", "qos")
    lines = "".join(f'echo "=${{SBATCH_{name.upper()}:-}}"\n' for name in names)
    answer = call("bash", "-c", f'. "$1" >&2 || exit\n{lines}', "bash", str(site))
    if answer.code:
        raise UserError(f"{site} cannot be sourced by bash: {' '.join(answer.err.split())}; correct it")
    values = [line[1:] for line in answer.out.splitlines()]
    return {name: value for name, value in zip(names, values, strict=True) if value}


def allowed(environ: Mapping[str, str], more: str = "") -> str:
    """Names of variables that the job gets, for sbatch --export; `more` are the caller's own."""
    families = [n for n in environ if n.startswith(_FAMILIES) and not _SECRET.search(n) and n.isidentifier()]
    names = [n for n in (*_ALWAYS, *sorted(families)) if n in environ]
    return ",".join(dict.fromkeys([*names, *filter(None, more.split(","))]))
