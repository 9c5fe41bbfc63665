"""The lines that a batch script of submitit gets from us before the one that starts the ranks.

They hand over to slurm/lib.sh, as the scripts of that folder do: the same account of attempts, signals, checks of the
nodes, containers and rollout servers.  The environment of the job is an allow list, by name: no value of it stands in
the script, and no secret reaches a node.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch.scheduler import call

SIGNAL = "B:USR1@300"
"""Slurm tells the batch shell so many seconds before the time limit, and at a preemption."""
RANKS = "ranks"
"""The shell function that starts the ranks; submitit writes its own command behind it."""
CONFIG = "config_{}.yaml"
"""In the folder of the submission: the resolved config of each task of the array."""

_CHECKOUT = Path(__file__).resolve().parents[2]
_ALWAYS = ("PATH", "HOME", "USER", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "SITE_ENV")
_FAMILIES = ("OMP_", "NCCL_", "GLOO_", "CUDA_", "TORCH_", "NVTE_", "FLEMING_", "HF_HOME", "XDG_CACHE_HOME")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|COOKIE|AUTH", re.IGNORECASE)

_LINES = r"""
ROOT={root} SITE_ENV={site}
runs=({runs})
run=${{runs[${{SLURM_ARRAY_TASK_ID:-0}}]}}
config={folder}/config_${{SLURM_ARRAY_TASK_ID:-0}}.yaml
# shellcheck source=slurm/lib.sh
. "$ROOT/slurm/lib.sh"
load_site
WORK={work} # where the paths of the config begin
cd "$WORK"
[ "${{CONTAINER_RUNTIME:-none}}" != none ] || PYTHON={python}
{settings}
set_runtime
heed_signals
unset SLURM_EXPORT_ENV # the allow list of sbatch is not meant for the tasks: they get all that is set here
export PYTHONUNBUFFERED=1
ranks() {{ # PYTHON ARGUMENTS, as submitit would call it
  split_nodes
  NODES=${{#TRAINERS[@]}}
  begin_attempt "$run"
  MASTER_ADDR=${{TRAINERS[0]}} MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000)) # below the ephemeral range
  export MASTER_ADDR MASTER_PORT
  say "$run: {per_node} processes on each of $NODES nodes, attempt ${{SLURM_RESTART_COUNT:-0}}, logs in $LOGS"
  # A signal that comes before Python heeds it would end the task: ignored until then.
  nodes_of "$NODES" {per_node} --label --output="$LOGS/rank_%t.log" {more}-- \
    env --ignore-signal=USR1,USR2 "$PYTHON" "${{@:2}}"
  run_attempt "$run" "$config"
}}
""".strip()


def before(
    runs: Sequence[Path],
    folder: Path,
    per_node: int,
    site: Path,
    srun_args: Iterable[str] = (),
    settings: Mapping[str, str] | None = None,
) -> list[str]:
    """Lines up to the start of the ranks.

    Args:
        runs: the run directory of each task of the array, or the only one.
        folder: where their configs are.
        per_node: tasks on each of the trainer's nodes.
        site: the cluster's settings, sourced first.
        srun_args: the caller's own.
        settings: variables of slurm/lib.sh, such as ROLLOUT_NODES.
    """
    filled = _LINES.format(
        root=shlex.quote(str(_CHECKOUT)),
        site=shlex.quote(str(site)),
        runs=" ".join(shlex.quote(str(run.absolute())) for run in runs),
        folder=shlex.quote(str(folder.absolute())),
        work=shlex.quote(str(Path.cwd())),
        python=shlex.quote(sys.executable),
        settings=" ".join(f"{name}={shlex.quote(value)}" for name, value in (settings or {}).items()) or ":",
        per_node=per_node,
        more="".join(f"{shlex.quote(word)} " for word in srun_args),
    )
    return filled.splitlines()


def site_env(environ: Mapping[str, str]) -> Path:
    """$SITE_ENV, else slurm/site.env of the checkout that this package lies in.

    Errors: UserError where there is no such file, or no checkout.
    """
    if not (_CHECKOUT / "slurm" / "lib.sh").is_file():
        raise UserError(
            "fleming-nemo is installed without its checkout, which has the batch scripts' library; "
            "install it from a checkout with pip install -e ."
        )
    file = Path(environ.get("SITE_ENV") or _CHECKOUT / "slurm" / "site.env")
    if not file.is_file():
        raise UserError(f"there is no site file {file}; write one like slurm/site.env, or point SITE_ENV at yours")
    return file.absolute()


def asked_for(site: Path) -> dict[str, str]:
    """Partition, account and QOS that site.env names for what is submitted: SBATCH_PARTITION and so on.

    Errors: UserError with bash's words where the file cannot be sourced.
    """
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
