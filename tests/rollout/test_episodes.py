"""From question to judged response, with an engine that says what the test wants."""

import numpy as np
import pytest

from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.reward.verify import Outcome
from fleming_nemo.rollout.episodes import Examiner
from fleming_nemo.rollout.types import Request, Rollout, request_seed

ITEM = QAItem("i", "What has velto?", ("lupus", "marfan"), 1, None, "kg", "en", "test", "easy", {})
RIGHT = "<think>\nmarfan is B\n</think>\n\n<answer>B</answer>"


class Says:
    """A rollout engine that gives the same text to every request, and remembers the requests."""

    def __init__(self, chat: ChatTokenizer, text: str, finished: bool = True) -> None:
        self.tokens, self.finished = chat.encode(text), finished
        self.asked: list[Request] = []

    def generate(
        self, requests: list[Request], temperature: float, max_response: int, weight_version: int
    ) -> list[Rollout]:
        self.asked += requests
        logprobs = np.zeros(len(self.tokens), np.float32)
        return [Rollout(self.tokens, logprobs, self.finished, r.seed, weight_version) for r in requests]


@pytest.mark.parametrize(
    ("text", "finished", "outcome"),
    [
        (RIGHT + "<|im_end|>", True, Outcome.CORRECT),
        (RIGHT.replace(">B<", ">A<") + "<|im_end|>", True, Outcome.WRONG),
        (RIGHT.replace(">B<", ">C<") + "<|im_end|>", True, Outcome.MALFORMED),
        (RIGHT, False, Outcome.TRUNCATED),
        # the end of a document is not the end of a turn
        (RIGHT + "<|endoftext|>", True, Outcome.MALFORMED),
        ("<|im_end|>", True, Outcome.MALFORMED),
    ],
)
def test_outcome(text: str, finished: bool, outcome: Outcome, chat: ChatTokenizer) -> None:
    ((episode,),) = Examiner(Says(chat, text, finished), chat, "", 64).play([(ITEM, [5])], 1.0, 0)
    assert episode.verdict.outcome is outcome
    assert episode.text == text.removesuffix("<|im_end|>")
    assert episode.correct == (outcome is Outcome.CORRECT)


def test_one_episode_for_each_seed_in_order(chat: ChatTokenizer) -> None:
    says = Says(chat, RIGHT + "<|im_end|>")
    played = Examiner(says, chat, "Be brief.", 64).play([(ITEM, [1, 2]), (ITEM, []), (ITEM, [3])], 1.0, 7)
    assert [[e.rollout.seed for e in group] for group in played] == [[1, 2], [], [3]]
    assert {r.prompt for r in says.asked} == {tuple(chat.encode(render_prompt(ITEM, "Be brief.")))}
    assert played[0][0].rollout.weight_version == 7
    assert played[0][0].record() == {
        "item_id": "i",
        "question": "What has velto?",
        "options": ["lupus", "marfan"],
        "letter": "B",
        "difficulty": "easy",
        "response": RIGHT,
        "outcome": "correct",
        "length": len(says.tokens),
    }


def test_request_seeds_are_stable_and_apart() -> None:
    seeds = {
        request_seed("train", s, step, n, k) for s in (1, 2) for step in range(12) for n in range(12) for k in "ab"
    }
    assert len(seeds) == 2 * 12 * 12 * 2
    assert request_seed(1, 23) != request_seed(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert request_seed("eval", "q", 0) == 1505205172136679466, "saved evaluations could no longer be compared"
