"""Deterministic mode: what it sets, what it refuses, and that it bites."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch

from fleming_nemo.config.errors import UserError
from fleming_nemo.parallel import determinism


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mode for one test: torch's switches are those of the whole process."""
    for name in determinism._VARIABLES:
        monkeypatch.setenv(name, "")  # so that whatever it is afterwards is forgotten
        monkeypatch.delenv(name)
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    determinism.make_deterministic()
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


def test_the_environment_of_a_deterministic_run() -> None:
    environ = {"PATH": "/bin"}
    determinism.set_environment(environ)
    assert environ == {
        "PATH": "/bin",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NCCL_ALGO": "Ring",
        "NVTE_ALLOW_NONDETERMINISTIC_ALGO": "0",
    }
    determinism.set_environment(environ)  # twice is once


@pytest.mark.parametrize("value", ["^NVLS", "CollnetChain", "Ring, CollnetDirect"])
def test_another_deterministic_choice_stays(value: str) -> None:
    environ = {"NCCL_ALGO": value, "CUBLAS_WORKSPACE_CONFIG": ":16:8"}
    determinism.set_environment(environ)
    assert (environ["NCCL_ALGO"], environ["CUBLAS_WORKSPACE_CONFIG"]) == (value, ":16:8")


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("NCCL_ALGO", "Tree", "NCCL_ALGO is 'Tree', under which results vary; unset it or choose one of Ring, "),
        ("NCCL_ALGO", "Ring,NVLS", "NCCL_ALGO is 'Ring,NVLS', under which"),
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:4", "unset it or choose one of :4096:8, :16:8, or set train.deterministic"),
        ("NVTE_ALLOW_NONDETERMINISTIC_ALGO", "1", "unset it or choose one of 0, or set train.deterministic=false"),
    ],
)
def test_a_choice_under_which_results_vary_is_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        determinism.set_environment({name: value})
    assert told in str(refused.value)


@pytest.mark.usefixtures("deterministic")
def test_what_cannot_be_deterministic_does_not_run() -> None:
    target = torch.zeros(3)
    with pytest.raises(RuntimeError, match="deterministic"):
        target.put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


@pytest.mark.usefixtures("deterministic", "one_process")
@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_two_runs_are_equal_bit_by_bit(kind: str, weights: dict[str, Path]) -> None:
    """Metrics and weights of three steps, and the mode allows every operation of them."""
    engines = [tiny.engine(tiny.config(), weights["qwen2.5-tiny"]) for _ in range(2)]
    assert all(engine.network.config.deterministic_mode for engine in engines), "megatron-core's own switch"
    first, second = (tiny.train(engine, kind) for engine in engines)
    assert first == second
    ours, theirs = (list(engine.network.parameters()) for engine in engines)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
