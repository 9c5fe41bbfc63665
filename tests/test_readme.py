"""Every command of the README runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", README, flags=re.M | re.S)
    for line in block.splitlines()
    if line
]
CHAIN = "tests/launch/test_chain_to_training.py"
SUBMITTED = "tests/slurm/test_submission.py"
# Where else a command runs, or what stands for it here.
ELSEWHERE = {
    "make test": "this is it",
    "python data_prep/build_kg.py": "tests/rods/kg/test_real_graph.py",
    "python data_prep/build_rods.py --items 100000 --workers 2": "tests/rods/synth/test_synth.py, with fewer",
    "python data_prep/build_rods.py --out data/rods": CHAIN,
    "python data_prep/distill_cot.py --items data/rods/items_sft.jsonl --out data/rods/cot": CHAIN,
    "python data_prep/build_indexed.py --items data/rods/items_sft.jsonl --chains data/rods/cot/cot.jsonl "
    "--tokenizer nano --pack 256 --out data/rods": CHAIN,
    "python recipes/sft_7b.py --tiny data.dir=data/rods data.synthesis=none": CHAIN,
    "make test-parity": "tests/distributed/test_parity.py",
    "fleming drift-check runs/grpo_stage1_7b": "tests/launch/test_grpo_recipes.py::test_the_drift_of_a_run",
    "fleming export runs/sft_7b --step 800": "tests/training/test_export.py::test_the_command",
    "sbatch slurm/grpo_stage2.sh --tiny": "tests/slurm/test_jobs.py::test_stage_2_trains_over_two_nodes",
    "fleming submit recipes/sft_7b.py --sweep seed=1..5 --sweep optim.lr=5e-6,1e-5 run_dir=runs/lr": SUBMITTED,
    "fleming compare runs/lr": SUBMITTED,
    "fleming submit --chain recipes/sft_7b.py recipes/grpo_stage1_7b.py recipes/grpo_stage2_7b.py run_dir=runs/all": (
        SUBMITTED
    ),
    "slurm/pipeline.sh --tiny --nodes=2": "tests/slurm/test_pipeline.py",
    "fleming status runs/grpo_stage2_7b-tiny": "tests/slurm/test_faults.py, tests/launch/test_status.py",
    "fleming logs runs/grpo_stage2_7b-tiny": "tests/launch/test_status.py",
    "make vllm-cpu": "with the next",
    "make test-vllm": "tests/distributed/test_vllm_runs.py and others",
    "fleming report runs/demo": "with the command that makes runs/demo",
}
QUICKER = {"make demo": "make demo ARGS='--quick'"}
SLOW = ("make demo", "python recipes/sft_7b.py --tiny", "python recipes/sft_32b.py --tiny", "fleming submit")


def here(command: str, tmp_path: Path) -> str:
    """The command with this Python's environment, writing below tmp_path."""
    command = QUICKER.get(command, command)
    program, rest = command.split(maxsplit=1)
    prefix = Path(sys.prefix)
    if program == "make":
        # An environment that was not made by `make` is as good: tell it that the stamp is there.
        rest = rest.replace("--quick", f"--quick run_dir={tmp_path}/demo")
        return f"make VENV={prefix} --assume-old={prefix}/.installed {rest}"
    if program == "python" and "--tiny" in rest:
        rest += f" run_dir={tmp_path}/run"
    if command.startswith("fleming submit"):
        rest += f" run_dir={tmp_path}/run --folder {tmp_path}/jobs"
        rest = re.sub(r"(\S+\.py) (.*)( run_dir=\S+)", r"\1\3 \2", rest)
    return f"{prefix}/bin/{program} {rest}"


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=pytest.mark.slow if c.startswith(SLOW) else ()) for c in COMMANDS if c not in ELSEWHERE],
)
def test_command_of_the_readme(tmp_path, command):
    done = run(here(command, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    if command == "make demo":
        assert {"summary.json", "report.html", "DONE"} <= {p.name for p in (tmp_path / "demo").iterdir()}
        (tmp_path / "demo" / "report.html").unlink()
        assert run(f"{sys.prefix}/bin/fleming report {tmp_path}/demo").returncode == 0
        assert (tmp_path / "demo" / "report.html").exists()


def test_commands_that_run_elsewhere_are_still_in_the_readme():
    assert set(ELSEWHERE) < set(COMMANDS)


def test_paths_of_the_readme_exist():
    for path in re.findall(r"`((?:recipes|slurm|tests|data_prep)/[\w./]+)`", README):
        assert (REPOSITORY / path).exists(), path
    tree = README.split("## The house")[1].split("```")[1]
    for folder in re.findall(r"\b\w+/", " ".join(re.findall(r"^ *(?:\w+/ *)+", tree, flags=re.M))):
        assert any((place / folder).is_dir() for place in (REPOSITORY, REPOSITORY / "fleming_nemo")), folder


def run(command: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(shlex.split(command), cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=280)
