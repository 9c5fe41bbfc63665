"""`fleming plan`, as a user calls it."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def fleming_plan(*arguments, before=""):
    """`fleming plan ARGUMENTS` in a process of its own; `before` is Python that runs first."""
    code = f"import sys\n{before}\nfrom fleming_nemo.cli import main\nmain(['plan', *sys.argv[1:]])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def test_a_plan_takes_no_torch_and_little_time():
    """Processor time: what else a busy machine does is not the planner's."""
    forbid = "import atexit\natexit.register(lambda: print('torch' in sys.modules, 'megatron' in sys.modules))"
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    for arguments in (["--gpus", "64"], ["--gpus", "64", "--search"]):
        done = fleming_plan("recipes/sft_32b.py", *arguments, before=forbid)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("False False\n")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime < 5


def test_what_it_prints():
    out = fleming_plan("recipes/sft_32b.py", "--gpus", "16").stdout
    assert out.startswith("sft (sft) of qwen3-32b on 16 h100: tp 8 x pp 2 x cp 1 x dp 1, vp 4\n")
    for part in (
        "weights",
        "activations",
        "of 80: fits",
        "bubble",
        "sent by a GPU",
        "tokens/s/GPU",
        "Estimates of a model",
    ):
        assert part in out
    assert "warning" not in out


def test_json_and_overrides_after_options():
    done = fleming_plan("recipes/sft_32b.py", "--gpus", "16", "--json", "parallel.vp=1")
    answer = json.loads(done.stdout)
    assert answer["parallel"] == {"tp": 8, "pp": 2, "vp": 1, "cp": 1, "dp": 1}
    assert answer["fits"] and answer["memory_bytes"]["total"] < answer["memory_bytes"]["capacity"]
    assert answer["step_seconds"] == pytest.approx(answer["step_tokens"] / answer["tokens_per_second_per_gpu"] / 16)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ["recipes/sft_7b.py", "--gpus", "16", "parallel.tp=3"],
            "parallel.tp is 3, which does not divide the 28 attention",
        ),
        (
            ["recipes/sft_7b.py", "--gpus", "16", "--gpu", "h1000"],
            "there is no GPU 'h1000' in the planner's table; did you",
        ),
        (
            ["recipes/sft_7b.py", "--gpus", "12"],
            "no layout for 12 GPUs and sequences of up to 8192 tokens is listed; choose",
        ),
        (["recipes/sft_32b.py", "--gpus", "8", "--search"], "no layout of qwen3-32b fits 8 h100"),
        (
            ["recipes/grpo_stage1_7b.py", "--gpus", "8", "--seq-length", "9"],
            "this recipe has one layout for all lengths",
        ),
        (["recipes/demo.py", "--gpus", "8"], "the demo runs on a CPU and is not planned; give the recipe of one"),
        (["recipes/grpo_stage1_7b.py", "--gpus", "0"], "--gpus is 0; give at least 1"),
    ],
    ids=["layout", "GPU", "number", "too large", "length", "demo", "none"],
)
def test_mistakes_are_one_sentence(arguments, sentence):
    done = fleming_plan(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1
