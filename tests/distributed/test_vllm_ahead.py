"""`rollout.staleness=1` on real vLLM servers: they draw the next batch while the trainer trains, and get its new
weights in flight.

The trainer, PP2, is killed after step 4 and goes on from the checkpoint of step 3, with servers of its own each time.
"""

from pathlib import Path
from typing import Any

import harness as harness_module
import pytest
import questions
import vllm_ahead_work
import vllm_cases
from harness import Case, Harness, value
from vllm_cases import GROUP, QUESTIONS, rows

from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout.vllm import environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(1800)]

STEPS, KILLED_AFTER, SAVED = 6, 4, 3
RESPONSE = 160
"""Tokens of every response: drawing them takes longer than a step of training, so that some span an update."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm_ahead") / "run"


@pytest.fixture(scope="module")
def resumed(
    harness: Harness, chat: ChatTokenizer, run_dir: Path, weights: dict[str, Path], tmp_path_factory: Any
) -> dict[str, Any]:
    """What the second life of the run returned."""
    environment.find()  # says what to do where there is none
    data = tmp_path_factory.mktemp("questions")
    questions.write(data)
    cfg = vllm_cases.config(run_dir, data, chat, weights, "qwen3-tiny", pp=2)
    cfg.train.steps, cfg.train.save_every, cfg.train.seq_length = STEPS, SAVED, 256
    cfg.rollout.staleness, cfg.rollout.max_response = 1, RESPONSE
    cfg.grpo.max_mismatch = 10  # a step of these weights is far
    limit = vllm_cases.COLLECTIVE_LIMIT_S
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness_module, "SET_LIMIT_S", limit)
        run = vllm_ahead_work.run
        harness.run([Case("vllm ahead killed", run, (cfg, KILLED_AFTER), killed=True, collective_limit_s=limit)])
        value(harness.results, "vllm ahead killed")
        harness.run([Case("vllm ahead", run, (cfg,), collective_limit_s=limit)])
    told: dict[str, Any] = value(harness.results, "vllm ahead")
    return told


def test_every_response_says_by_which_weights_it_was_drawn(resumed: dict[str, Any], run_dir: Path) -> None:
    """The first token's are at most a step old, and those of the last token no older than those of the first."""
    in_flight = []
    for step in range(1, STEPS + 1):
        groups = vllm_cases.groups_of(run_dir, step)
        assert [len(group) for group in groups] == [GROUP] * QUESTIONS
        spans = [tuple(response["weights"]) for group in groups for response in group]
        assert all(max(0, step - 2) <= first <= last <= step - 1 for first, last in spans)
        assert step == 1 or any(first == step - 2 for first, _ in spans), "drawn ahead"
        in_flight.append(sum(first < last for first, last in spans))
    assert sum(in_flight) > 0, "the new weights came while a response was being drawn"
    print(f"\nresponses of {QUESTIONS * GROUP} in each step that span an update: {in_flight}")


def test_weights_that_arrive_in_flight_keep_what_is_being_drawn(resumed: dict[str, Any]) -> None:
    # the first transfer meets no response, and neither does the last, before the evaluation
    assert resumed["modes"] == ["wait", "keep", "keep", "wait"]


def test_older_weights_show_and_are_corrected_for(resumed: dict[str, Any], run_dir: Path) -> None:
    found = rows(run_dir)
    assert found[0]["mismatch_max"] < 1e-4, "the first batch is of the present policy"
    assert all(row["mismatch_max"] > 1e-4 for row in found[1:])
    kinds, distances = zip(*resumed["corrections"], strict=True)
    assert set(kinds) == {"token"} and 0.001 < max(distances) <= 1, "truncated at a weight of 2"
    largest = ", ".join(f"{row['mismatch_max']:.1e}" for row in found)
    print(f"\nlargest difference of a log-probability in each step: {largest}; weights to {max(distances):.2f} from 1")


def test_a_killed_run_goes_on_and_counts_each_answer_once(resumed: dict[str, Any], run_dir: Path) -> None:
    assert resumed["steps"] == [4, 5, 6], "from the checkpoint of step 3"
    found = rows(run_dir)
    assert [row["step"] for row in found] == list(range(1, STEPS + 1))
    assert found[SAVED]["from_bank"] > 0, "what had been drawn ahead of the kill"
    assert all(row["grad_norm"] > 0.01 and row["loss"] != 0 for row in found)
    hidden = [row["generation_hidden"] for row in found if "generation_hidden" in row]
    assert hidden and all(0 <= share <= 1 for share in hidden)
    assert not list((run_dir / "bank").iterdir())
