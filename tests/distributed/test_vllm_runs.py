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
import tiny
import vllm_work
from harness import Case, Harness, value

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem, write_items
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout.vllm import environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(3600)]

STEPS, QUESTIONS, GROUP = 10, 4, 3
SLOW_S = 600
"""A server has minutes to answer: all its processes share the cores with the trainer."""
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
    monkeypatch_module.setattr(harness_module, "SET_LIMIT_S", 3 * SLOW_S)
    python = vllm_work.python_that_can_be_stopped(folder, str(environment.find().path))
    data = folder / "data"
    data.mkdir()
    items = [
        QAItem(f"q{n}", f"{STORY}What has v{n}?", ("lupus", "marfan"), n % 2, None, "kg", "en", "train", tier, {})
        for n in range(12)
        for tier in [("easy", "moderate", "difficult")[n % 3]]
    ]
    write_items(data / "items_rl.jsonl", items[:8])
    write_items(data / "items_heldout.jsonl", items[8:])

    def config(arch: str, rollout_tp: int, **parallel: Any) -> RunConfig:
        cfg = tiny.config(arch, **parallel)
        cfg.task, cfg.stage, cfg.run_dir = "grpo", "grpo_stage1", str(folder / arch)
        cfg.model.weights = str(weights[arch])
        cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
        cfg.train.steps, cfg.train.save_every, cfg.train.seq_length = STEPS, 3, 512
        cfg.rollout.max_response, cfg.rollout.decode_batch = 16, 16
        cfg.rollout.engine, cfg.rollout.tp = "vllm", rollout_tp
        cfg.grpo.prompts_per_step, cfg.grpo.rollouts_per_prompt = QUESTIONS, GROUP
        cfg.grpo.mask_truncated = False  # random weights never end a response
        cfg.eval.seeds = 1
        return cfg

    def one(name: str, *arguments: Any) -> None:
        harness.run([Case(name, vllm_work.run, arguments, collective_limit_s=SLOW_S)])

    one("pp2 to tp2", config("qwen3-tiny", 2, pp=2), python)
    one("tp2", config("nano", 1, tp=2), python, 2, 7)
    (folder / vllm_work.NOT_AGAIN).unlink(missing_ok=True)
    one("goes on as pp2", config("nano", 1, pp=2), python)
    return harness.results


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def rows(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def events(run_dir: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (run_dir / "events.jsonl").read_text().splitlines()]


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
        lines = (folder / "nano" / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
        groups = [json.loads(line)["responses"] for line in lines]
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
