"""GRPO on real vLLM servers on the CPU: weights of every step, deaths, and a resume at another layout.

    qwen3-tiny              trainer PP2 -> one server of TP2, ten steps
    nano (Qwen2.5, tied)    trainer TP2 -> two servers of TP1; one gets a kill -9 in the batch of step 3, both in that
                            of step 8, for good; the run goes on from its checkpoint as PP2 and comes to step 10

Engine and trainer are compared where it counts: the log-probability of every token of every step, by the engine that
drew it and by the trainer that trains on it (`mismatch_max`).
"""

import json
import os
from pathlib import Path
from typing import Any

import harness as harness_module
import pytest
import questions
import vllm_cases
import vllm_work
from harness import Case, Harness, value
from vllm_cases import GROUP, QUESTIONS, events, rows

from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout.vllm import environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(3600)]

STEPS = 10
# longer than a block of vLLM's prefix cache on the CPU, 128 tokens: a cache that is not emptied would show
STORY = "Given: velto has marfan; dori has lupus; mira has neither; the variant of the gene causes a murmur. " * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm_runs")


@pytest.fixture(scope="module")
def results(
    harness: Harness,
    chat: ChatTokenizer,
    folder: Path,
    weights: dict[str, Path],
    monkeypatch_module: pytest.MonkeyPatch,
) -> dict[str, Any]:
    monkeypatch_module.setattr(harness_module, "SET_LIMIT_S", 3 * vllm_cases.COLLECTIVE_LIMIT_S)
    python = vllm_work.python_that_can_be_stopped(folder, str(environment.find().path))
    data = folder / "data"
    data.mkdir()
    questions.write(data, STORY)

    def one(name: str, arch: str, rollout_tp: int, parallel: dict[str, int], *faults: int) -> None:
        cfg = vllm_cases.config(folder / arch, data, chat, weights, arch, **parallel)
        cfg.rollout.tp = rollout_tp
        cfg.rollout.decode_batch = 2  # a batch takes several rounds: a server that dies leaves some of it unanswered
        limit = vllm_cases.COLLECTIVE_LIMIT_S
        harness.run([Case(name, vllm_work.run, (cfg, python, *faults), collective_limit_s=limit)])

    one("pp2 to tp2", "qwen3-tiny", 2, {"pp": 2})
    one("tp2", "nano", 1, {"tp": 2}, 2, 7)
    (folder / vllm_work.NOT_AGAIN).unlink(missing_ok=True)
    one("goes on as pp2", "nano", 1, {"pp": 2})
    return harness.results


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize(("name", "arch"), [("goes on as pp2", "nano"), ("pp2 to tp2", "qwen3-tiny")])
def test_in_ten_steps_the_servers_hold_the_trainers_weights(
    name: str, arch: str, results: dict[str, Any], folder: Path
) -> None:
    assert value(results, name)["steps"][-1] == STEPS
    found = rows(folder / arch)
    assert [row["step"] for row in found] == list(range(1, STEPS + 1))
    assert max(row["mismatch_max"] for row in found) < 1e-4
    assert all(row["grad_norm"] > 0.01 and row["loss"] != 0 for row in found), "the weights are others in every step"
    assert all(row["seconds"]["transfer"] > 0 for row in found)
    assert json.loads((folder / arch / "eval.json").read_text())
    largest = ", ".join(f"{row['mismatch_max']:.1e}" for row in found)
    print(f"\n{arch}, {name}: largest difference of a log-probability in each step: {largest}")


def test_a_server_killed_in_mid_batch_costs_no_response(results: dict[str, Any], folder: Path) -> None:
    value(results, "tp2")
    # the other one answers what it had; whether it is back before the end of the run depends on the machine
    lost, again = ("server_lost", "request_reissued")
    assert [event for event in events(folder / "nano") if event in (lost, again)][:2] == [lost, again]
    for step in range(1, STEPS + 1):
        groups = vllm_cases.groups_of(folder / "nano", step)
        assert [len(group) for group in groups] == [GROUP] * QUESTIONS
        versions = {tuple(response["weights"]) for group in groups for response in group}
        assert versions == {(step - 1, step - 1)}


def test_without_a_server_the_run_stops_and_the_same_command_goes_on(results: dict[str, Any], folder: Path) -> None:
    told = value(results, "tp2")["refused"]
    assert told[0] == told[1] and "all vLLM servers are gone" in told[0]
    assert value(results, "goes on as pp2")["steps"] == [7, 8, 9, 10], "from the checkpoint of step 6"
    assert "server_given_up" in events(folder / "nano")


def test_what_the_servers_were_started_with_holds_no_key(results: dict[str, Any], folder: Path) -> None:
    value(results, "pp2 to tp2")
    assert not [path for path in (folder / "qwen3-tiny").rglob("*") if path.name == "key"]
    assert os.environ.get("FLEMING_VLLM_KEY_FILE") is None
