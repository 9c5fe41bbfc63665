"""Whole runs in a run directory: an interrupted one ends where an unbroken one does, bit by bit.

N steps against k steps, kill -9 of every rank, and the same command again in new processes.  Weights and optimizer are
compared through the metrics of the steps after the resume and through the files of the last checkpoint.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import questions
import tiny
import torch
import work
from harness import Case, Harness, value

from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import corpus
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.tokenizer import ChatTokenizer

TIMING = ("seconds", "tokens_per_second", "from_bank")
REPLAYS = {
    "replayed tp2": {"tp": 2, "sequence_parallel": True},
    "replayed pp2": {"pp": 2},
    "replayed packed cp2": {"cp": 2},
}


@pytest.fixture(scope="module")
def data(chat: ChatTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and questions, small enough to be answered in a second."""
    folder = tmp_path_factory.mktemp("data")
    items = questions.write(folder)
    prompts = [chat.encode(render_prompt(item)) for item in items]
    responses = [chat.encode(render_response("It is " + "so " * (n % 4), item.letter)) for n, item in enumerate(items)]
    documents = [(p + r, [0] * len(p) + [1] * len(r)) for p, r in zip(prompts, responses, strict=True)]
    corpus.write(folder, documents, chat, {}, {})
    return folder


def run_config(data: Path, chat: ChatTokenizer, folder: Path, task: str, weights: Path, **parallel: Any) -> RunConfig:
    cfg = tiny.config(**parallel)
    cfg.task, cfg.stage, cfg.run_dir = task, "grpo_stage2" if task == "grpo" else "sft", str(folder / task)
    cfg.model.weights = str(weights)
    cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
    cfg.train.steps, cfg.train.save_every, cfg.train.global_batch, cfg.train.seq_length = 4, 2, 4, 128
    cfg.rollout.max_response, cfg.rollout.decode_batch = 10, 8
    cfg.grpo.prompts_per_step, cfg.grpo.rollouts_per_prompt, cfg.grpo.curriculum = 4, 3, "mined"
    cfg.grpo.mining_rollouts, cfg.grpo.pass_rates = 2, [0.5, 0.51]
    cfg.grpo.mask_truncated = False  # random weights never end a response
    cfg.eval.seeds, cfg.eval.every = 1, 2
    return cfg


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    names = ("unbroken", "broken", "broken early", "stopped", "other layout", "pipeline", "recorded", *REPLAYS)
    return {name: tmp_path_factory.mktemp(name) for name in names}


@pytest.fixture(scope="module")
def results(
    harness: Harness, data: Path, chat: ChatTokenizer, folders: dict[str, Path], weights: dict[str, Path]
) -> dict[str, Any]:
    cases = []

    def add(
        name: str,
        folder: str,
        after: str | None,
        killed: int | None,
        task: str,
        changes: tuple[str, ...] = (),
        **parallel: Any,
    ) -> None:
        start = weights["qwen2.5-tiny"] if task == "sft" else folders["unbroken"] / "sft"
        cfg = apply(run_config(data, chat, folders[folder], task, start, **parallel), changes)
        cases.append(Case(name, work.whole_run, (cfg, killed), after=after, killed=killed is not None))

    add("sft", "unbroken", None, None, "sft", tp=2, sequence_parallel=True)
    add("sft killed", "broken", None, 3, "sft", tp=2, sequence_parallel=True)
    add("sft resumed", "broken", "sft killed", None, "sft", tp=2, sequence_parallel=True)
    add("sft dp2", "other layout", None, None, "sft")
    add("sft pp2", "pipeline", None, None, "sft", pp=2)
    add("grpo", "unbroken", "sft", None, "grpo")
    add("grpo killed", "broken", "sft", 3, "grpo")
    add("grpo resumed", "broken", "grpo killed", None, "grpo")
    add("grpo killed early", "broken early", "sft", 1, "grpo")
    restarted = run_config(data, chat, folders["broken early"], "grpo", folders["unbroken"] / "sft")
    for task in ("sft", "grpo"):
        start = weights["qwen2.5-tiny"] if task == "sft" else folders["unbroken"] / "sft"
        layout: dict[str, Any] = {"tp": 2, "sequence_parallel": True} if task == "sft" else {}
        cfg = run_config(data, chat, folders["stopped"], task, start, **layout)
        cases.append(Case(f"{task} stopped", work.stopped_run, (cfg, 3), after="sft"))
        add(f"{task} after the stop", "stopped", f"{task} stopped", None, task, **layout)
    at_end = Case("grpo killed at its end", work.killed_before_forgetting, (restarted,), 2, "grpo killed early", True)
    cases.append(at_end)
    add("grpo restarted", "broken early", at_end.name, None, "grpo")
    add("grpo tp2", "other layout", "sft", None, "grpo", tp=2)
    cases.append(Case("drift", work.drift, (folders["unbroken"] / "grpo",), after="grpo"))
    add("recorded", "recorded", "sft", None, "grpo", ("rollout.record=keep", "eval.every=0"))
    for name, parallel in REPLAYS.items():
        replay = (f"rollout.record={folders['recorded'] / 'grpo'}", "eval.every=0")
        packed = ("train.pack_tokens=256",) if "packed" in name else ()
        add(name, name, "recorded", None, "grpo", replay + packed, **parallel)
    harness.run(cases)
    return harness.results


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMING} for row in rows]


def state_of(checkpoint: Path) -> dict[str, Any]:
    """Without the sizes of the files, of which .metadata pickles to a few bytes more or less."""
    state = json.loads((checkpoint / "state.json").read_text())
    del state["files"]
    return state


def assert_same_run(got: Path, expected: Path) -> None:
    assert metrics(got) == metrics(expected)
    assert [row["step"] for row in metrics(got)] == [1, 2, 3, 4]
    assert (got / "eval_samples.jsonl").read_text() == (expected / "eval_samples.jsonl").read_text()
    first, second = (folder / "checkpoints" / "step_4" for folder in (got, expected))
    names = sorted(f.name for f in first.iterdir())
    assert names == sorted(f.name for f in second.iterdir())
    assert state_of(first) == state_of(second)
    for name in names:
        if name.endswith(".distcp"):
            assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert not list((got / "checkpoints").glob(".*"))
    rollouts = sorted(f.relative_to(expected) for f in (expected / "rollouts").glob("*"))
    assert rollouts == sorted(f.relative_to(got) for f in (got / "rollouts").glob("*"))
    assert all((got / name).read_text() == (expected / name).read_text() for name in rollouts)


@pytest.mark.parametrize(
    ("task", "folder", "resumed", "steps"),
    [
        ("sft", "broken", "sft resumed", [3, 4]),
        ("grpo", "broken", "grpo resumed", [3, 4]),
        ("grpo", "broken early", "grpo restarted", []),  # it had come to its last checkpoint
    ],
)
def test_killed_and_resumed(
    task: str, folder: str, resumed: str, steps: list[int], results: dict[str, Any], folders: dict[str, Path]
) -> None:
    assert value(results, task)["steps"] == [1, 2, 3, 4]
    assert value(results, resumed) == {"result": value(results, task)["result"], "steps": steps}
    assert_same_run(folders[folder] / task, folders["unbroken"] / task)


@pytest.mark.parametrize("task", ["sft", "grpo"])
def test_a_signal_to_one_rank_stops_all_of_them_after_the_same_step(
    task: str, results: dict[str, Any], folders: dict[str, Path]
) -> None:
    """Step 3 has no checkpoint of its own, and its score belongs to that of step 4."""
    said = "asked to stop by SIGUSR2: saved after step 3; the same command goes on from there"
    assert value(results, f"{task} stopped") == said
    assert value(results, f"{task} after the stop") == {"result": value(results, task)["result"], "steps": [4]}
    assert_same_run(folders["stopped"] / task, folders["unbroken"] / task)


def test_the_runs_learn_from_something(results: dict[str, Any], folders: dict[str, Path]) -> None:
    """Otherwise equal metrics would say little."""
    value(results, "grpo")
    rows = metrics(folders["unbroken"] / "grpo")
    assert all(0 < row["reward"] < 1 and row["grad_norm"] > 0.01 for row in rows)
    assert all(row["mismatch_max"] < 1e-5 for row in rows)
    mining = json.loads((folders["unbroken"] / "grpo" / "mining.json").read_text())
    assert mining["right"] > 0 and mining["wrong"] > 0 and mining["right"] + mining["wrong"] == 8
    ledger = state_of(folders["unbroken"] / "grpo" / "checkpoints" / "step_4")["ledger"]
    assert [entry["round"] for entry in ledger[:8]] == ["mining"] * 8
    assert sum(entry["rollouts"] for entry in ledger[8:] if entry["round"] == "train") == 4 * 4 * 3


def test_the_layout_does_not_change_an_sft_run(results: dict[str, Any], folders: dict[str, Path]) -> None:
    assert value(results, "sft dp2")["steps"] == value(results, "sft")["steps"]
    got, expected = (metrics(folders[name] / "sft") for name in ("other layout", "unbroken"))
    for a, b in zip(got, expected, strict=True):
        assert (a.pop("stage"), a.pop("step")) == (b.pop("stage"), b.pop("step"))
        assert a == pytest.approx(b, rel=1e-4)


def test_under_a_pipeline_sft_trains_and_says_that_it_does_not_evaluate(
    results: dict[str, Any], folders: dict[str, Path]
) -> None:
    assert value(results, "sft pp2")["result"] == {"stage": "sft", "steps": 4}
    assert state_of(folders["pipeline"] / "sft" / "checkpoints" / "step_4")["step"] == 4
    assert not (folders["pipeline"] / "sft" / "eval.json").exists()


def test_the_layout_does_not_change_what_a_grpo_run_samples(results: dict[str, Any], folders: dict[str, Path]) -> None:
    assert value(results, "grpo")["steps"] == value(results, "grpo tp2")["steps"]
    got, expected = (folders[name] / "grpo" for name in ("other layout", "unbroken"))
    assert (got / "mining.json").read_text() == (expected / "mining.json").read_text()
    for a, b in zip(metrics(got), metrics(expected), strict=True):
        assert a.keys() == b.keys()
        for name in ("reward", "response_length", "zero_variance", "heldout_accuracy"):
            assert a.get(name) == b.get(name), name
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-3)


def test_rollouts_of_a_checkpoint_are_dropped_also_by_the_next_start(
    results: dict[str, Any], folders: dict[str, Path]
) -> None:
    value(results, "grpo killed at its end"), value(results, "grpo restarted")
    assert not list((folders["broken early"] / "grpo" / "bank").iterdir())


def test_a_resumed_run_takes_what_was_drawn_before_the_kill(results: dict[str, Any], folders: dict[str, Path]) -> None:
    """Step 3 was killed after its update: its four questions were banked, and its policy is that of the checkpoint."""
    value(results, "grpo resumed")
    rows = [json.loads(line) for line in (folders["broken"] / "grpo" / "metrics.jsonl").read_text().splitlines()]
    assert [row["from_bank"] for row in rows] == [0, 0, 4, 0]
    assert not list((folders["broken"] / "grpo" / "bank").iterdir()), "a checkpoint contains it all"


@pytest.mark.parametrize("name", REPLAYS)
def test_a_recorded_run_is_trained_again_without_an_engine(
    name: str, results: dict[str, Any], folders: dict[str, Path]
) -> None:
    value(results, "recorded"), value(results, name)
    expected, got = metrics(folders["recorded"] / "grpo"), metrics(folders[name] / "grpo")
    assert [row["step"] for row in got] == [1, 2, 3, 4]
    for a, b in zip(got, expected, strict=True):
        assert a.keys() == b.keys()
        assert (a["reward"], a["response_length"], a["zero_variance"]) == (
            b["reward"],
            b["response_length"],
            b["zero_variance"],
        )
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


def test_at_learning_rate_0_engine_and_trainer_stay_as_close_as_they_were(
    results: dict[str, Any], folders: dict[str, Path]
) -> None:
    told = value(results, "drift")
    assert told["flat"] and told["steps"] == 4
    found = json.loads((folders["unbroken"] / "grpo" / "drift_check" / "drift.json").read_text())
    assert found["text"] == told["text"] and len(found["rows"]) == 4
    assert all(0 < row["mismatch_max"] < 1e-4 for row in found["rows"]), "measured, and small"


def test_a_checkpoint_belongs_to_a_number_of_ranks(results: dict[str, Any], folders: dict[str, Path]) -> None:
    value(results, "sft")
    states = torch.load(folders["unbroken"] / "sft" / "checkpoints" / "step_4" / "rng.pt", weights_only=True)
    assert len(states) == 2
