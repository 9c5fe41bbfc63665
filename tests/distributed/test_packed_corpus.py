"""SFT on a blend of packed corpora: the layout does not show, and a run resumed under another one goes on in step."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tiny
import work
from harness import Case, Harness, value

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import corpus
from fleming_nemo.data.corpus import Corpus, open_corpus
from fleming_nemo.data.indexed import blend
from fleming_nemo.data.items import QAItem, write_items
from fleming_nemo.data.tokenizer import ChatTokenizer

PACK = 128


@pytest.fixture(scope="module")
def data(chat: ChatTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("corpora"), random.Random(0)
    for name, count in (("small", 40), ("large", 120)):
        sizes = [rng.randrange(10, 70) for _ in range(count)]
        documents = [
            ([rng.randrange(chat.size) for _ in range(size)], [0] * (size // 3) + [1] * (size - size // 3))
            for size in sizes
        ]
        corpus.write(root / name, documents, chat, {}, {}, pack=PACK)
    blend.write(root / "blend", {root / "small": 0.4, root / "large": 0.6})
    items = [QAItem(f"q{n}", f"What has v{n}?", ("a", "b"), 0, None, "kg", "en", "heldout", "easy", {}) for n in "12"]
    write_items(root / "blend" / "items_heldout.jsonl", items)
    return root / "blend"


def config(data: Path, chat: ChatTokenizer, run_dir: Path, weights: Path, **parallel: Any) -> RunConfig:
    cfg = tiny.config(**parallel)
    cfg.task, cfg.stage, cfg.run_dir, cfg.model.weights = "sft", "sft", str(run_dir), str(weights)
    cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
    cfg.train.steps, cfg.train.save_every, cfg.train.global_batch = 4, 2, 6
    cfg.train.seq_length = cfg.train.pack_tokens = PACK
    cfg.rollout.max_response, cfg.rollout.decode_batch, cfg.eval.seeds = 4, 8, 1
    return cfg


@pytest.fixture(scope="module")
def results(
    harness: Harness,
    data: Path,
    chat: ChatTokenizer,
    weights: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("runs")
    start = weights["qwen2.5-tiny"]
    one_rank, two_ranks = {"tp": 2, "sequence_parallel": True}, {"dp": 2}
    cases = [
        Case("packed", work.whole_run, (config(data, chat, root / "whole", start, **two_ranks), None)),
        Case(
            "packed killed", work.whole_run, (config(data, chat, root / "broken", start, **two_ranks), 3), killed=True
        ),
        Case(
            "packed resumed",
            work.whole_run,
            (config(data, chat, root / "broken", start, **one_rank), None),
            after="packed killed",
        ),
    ]
    harness.run(cases)
    return {name: harness.results[name] for name in ("packed", "packed resumed")} | {"root": root}


def rows(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_resumed_under_another_number_of_ranks(results: dict[str, Any]) -> None:
    assert value(results, "packed")["steps"] == [1, 2, 3, 4]
    assert value(results, "packed resumed")["steps"] == [3, 4]
    whole, broken = rows(results["root"] / "whole"), rows(results["root"] / "broken")
    assert [row["step"] for row in broken] == [1, 2, 3, 4]
    for expected, got in zip(whole, broken, strict=True):
        for name in ("loss", "grad_norm"):
            assert got[name] == pytest.approx(expected[name], rel=1e-4), name


def test_steps_have_about_the_same_number_of_tokens(data: Path, chat: ChatTokenizer) -> None:
    """The last pack of a corpus may be far from full; all others are nearly."""
    found = open_corpus(data, chat)
    sizes = [
        sum(int(found.lengths[documents].sum()) for documents in found.samples(step * 6, 6, seed=1))
        for step in range(found.num_samples // 6)
    ]
    assert 0.8 * 6 * PACK < min(sizes) <= max(sizes) <= 6 * PACK
    large = Corpus(data.parent / "large", chat)
    assert large.manifest["pack"]["fill"] > 0.97
