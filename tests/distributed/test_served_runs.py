"""GRPO on servers, under layouts that cannot sample in process, against the trainer's own sampling; and one step ahead.

The servers are plain torch in rank 0's process (`served_work`); real ones are in tests/rollout/vllm_servers.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import questions
import served_work
import tiny
import work
from harness import Case, Harness, value

from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer

pytestmark = pytest.mark.slow

SERVED = ("rollout.engine=vllm",)
AHEAD = (*SERVED, "rollout.staleness=1", "grpo.max_mismatch=10")  # evaluations draw beside the next batch
STEPS, QUESTIONS, GROUP = 4, 4, 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    questions.write(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def results(
    harness: Harness, data: Path, chat: ChatTokenizer, folder: Path, weights: dict[str, Path]
) -> dict[str, Any]:
    def config(run_dir: str, changes: tuple[str, ...], **parallel: Any) -> RunConfig:
        cfg = tiny.config(**parallel)
        cfg.task, cfg.stage, cfg.run_dir = "grpo", "grpo_stage2", str(folder / run_dir)
        cfg.model.weights = str(weights["qwen2.5-tiny"])
        cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
        cfg.train.steps, cfg.train.save_every, cfg.train.seq_length = STEPS, 2, 128
        cfg.rollout.max_response, cfg.rollout.decode_batch = 10, 8
        cfg.grpo.prompts_per_step, cfg.grpo.rollouts_per_prompt, cfg.grpo.curriculum = QUESTIONS, GROUP, "mined"
        cfg.grpo.mining_rollouts, cfg.grpo.pass_rates, cfg.grpo.mask_truncated = 2, [0.5, 0.51], False
        cfg.eval.seeds, cfg.eval.every = 1, 2
        return apply(cfg, changes)

    run = served_work.whole_run
    harness.run(
        [
            Case("trainer", work.whole_run, (config("trainer", ()),)),
            Case("pp2", run, (config("pp2", (*SERVED, "grpo.correction=none"), pp=2),)),
            Case("tp2, one dies", _with_death, (config("tp2", (*SERVED, "grpo.correction=none"), tp=2),)),
            Case("all die", served_work.refused_run, (config("gone", SERVED), 40)),
            Case("ahead", run, (config("ahead", AHEAD),)),
            Case("ahead killed", run, (config("broken", AHEAD), 3), killed=True),
            Case("ahead resumed", run, (config("broken", AHEAD),), after="ahead killed"),
            Case("after all died", run, (config("gone", SERVED),), after="all die"),
        ]
    )
    return harness.results


def _with_death(cfg: RunConfig) -> dict[str, Any]:
    # 8 questions are mined and 4 are evaluated before the first step: over a response of the second step
    return served_work.whole_run(cfg, dies_at=8 * 2 + 4 + 12 + 5)


def rows(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def responses(run_dir: Path, step: int) -> list[list[str]]:
    lines = (run_dir / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
    return [[r["text"] for r in json.loads(line)["responses"]] for line in lines]


@pytest.mark.parametrize(("name", "run_dir"), [("pp2", "pp2"), ("tp2, one dies", "tp2")])
def test_servers_draw_what_the_trainer_draws(name: str, run_dir: str, results: dict[str, Any], folder: Path) -> None:
    """The same weights in every step, whatever the layout they come from, and though a server died."""
    value(results, "trainer")
    assert value(results, name)["steps"] == [1, 2, 3, 4]
    for got, expected in zip(rows(folder / run_dir), rows(folder / "trainer"), strict=True):
        assert got["mismatch_max"] < 1e-4
        assert got.get("heldout_accuracy") == expected.get("heldout_accuracy")
        for key in ("reward", "response_length", "zero_variance"):
            assert got[key] == expected[key], key
        assert got["loss"] == pytest.approx(expected["loss"], abs=1e-3)
        assert got["seconds"]["transfer"] > 0
    assert (folder / run_dir / "mining.json").read_text() == (folder / "trainer" / "mining.json").read_text()


def test_they_are_up_to_date_before_anything_is_drawn_and_rest_while_a_step_trains(results: dict[str, Any]) -> None:
    calls = value(results, "pp2")["calls"]
    expected = ["up 0", "rest", "up 1", "rest", "up 2", "rest", "up 3", "rest", "up 4", "close"]
    assert calls == expected, "mining and evaluations use the weights that are there"


def test_a_death_in_mid_batch_is_in_the_record_and_costs_no_response(results: dict[str, Any], folder: Path) -> None:
    value(results, "tp2, one dies")
    events = [json.loads(line)["event"] for line in (folder / "tp2" / "events.jsonl").read_text().splitlines()]
    assert events == ["died", "restarted"]
    for step in range(1, STEPS + 1):
        assert [len(group) for group in responses(folder / "tp2", step)] == [GROUP] * QUESTIONS


def test_when_all_are_gone_every_rank_says_the_same_and_the_same_command_goes_on(
    results: dict[str, Any], folder: Path
) -> None:
    told = value(results, "all die")
    assert told == ["no server is left; see the logs of the servers"] * 2
    assert value(results, "after all died")["steps"][-1] == STEPS
    assert [row["step"] for row in rows(folder / "gone")] == [1, 2, 3, 4]


def test_one_step_ahead_no_response_is_older_than_one_step(results: dict[str, Any], folder: Path) -> None:
    assert value(results, "ahead")["steps"] == [1, 2, 3, 4]
    modes = value(results, "ahead")["modes"]
    assert modes == ["wait", "keep", "keep", "keep", "wait"], "in flight while the next batch is drawn"
    for step in range(1, STEPS + 1):
        lines = (folder / "ahead" / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
        spans = [tuple(r["weights"]) for line in lines for r in json.loads(line)["responses"]]
        assert len(spans) == QUESTIONS * GROUP / 2, "of the first of two replicas"
        assert all(max(0, step - 2) <= first <= last <= step - 1 for first, last in spans)
        assert step == 1 or any(first == step - 2 for first, _ in spans), "drawn ahead"
    found = rows(folder / "ahead")
    assert "generation_hidden" in found[0] and all(0 <= row["generation_hidden"] <= 1 for row in found)
    assert found[0]["mismatch_max"] < 1e-4 < found[1]["mismatch_max"], "older weights show, and are corrected for"


def test_a_killed_run_ahead_asks_the_same_questions_and_counts_each_once(results: dict[str, Any], folder: Path) -> None:
    value(results, "ahead"), value(results, "ahead resumed")
    asked, counted = {}, {}
    for name in ("ahead", "broken"):
        paths = [folder / name / "rollouts" / f"step_{step}.jsonl" for step in range(1, STEPS + 1)]
        asked[name] = [[json.loads(line)["item_id"] for line in path.read_text().splitlines()] for path in paths]
        state = json.loads((folder / name / "checkpoints" / "step_4" / "state.json").read_text())
        counted[name] = [(e["item_id"], e["policy"], e["round"], e["rollouts"]) for e in state["ledger"]]
        assert not list((folder / name / "bank").iterdir())
    assert asked["broken"] == asked["ahead"] and counted["broken"] == counted["ahead"]
    assert [row["step"] for row in rows(folder / "broken")] == [1, 2, 3, 4]
    resumed = rows(folder / "broken")[2]
    assert resumed["from_bank"] > 0, "what was drawn for step 3 before the kill is used"
