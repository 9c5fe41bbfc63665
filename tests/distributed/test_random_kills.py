"""kill -9 at random moments: whatever a run was doing, the same command ends where an unbroken run does, bit by bit.

An SFT run of two ranks that saves after every second step is killed twenty times, and each time started again at once,
while writers of the one before may still live.  The moments are drawn from a fixed seed; what a life was doing when it
died is read off the folder.
"""

import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import checkpoint_work
import pytest
import tiny
from harness import Case
from lives import LIFE_LIMIT_S, Life

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import corpus
from fleming_nemo.data.tokenizer import ChatTokenizer

pytestmark = pytest.mark.slow

KILLS = 20
STEPS = 44
MOST_STEPS = 2
"""Steps after which a life ends at the latest, so that there is something left for all twenty."""
TIMING = ("seconds", "tokens_per_second", "mfu")


def begin(folder: Path, cfg: RunConfig, background: bool) -> Life:
    return Life(folder, [Case("train", checkpoint_work.train, (cfg, background))])


@pytest.fixture(scope="module")
def data(chat: ChatTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    documents = []
    for n in range(24):
        ids = chat.encode("How many: red; green; blue? There are 3. " + "So 3 is C. " * (n % 5))
        documents.append((ids, [0] * 10 + [1] * (len(ids) - 10)))
    corpus.write(folder, documents, chat, {}, {})
    return folder


def config(data: Path, chat: ChatTokenizer, weights: Path, run_dir: Path) -> RunConfig:
    cfg = tiny.config()
    cfg.run_dir, cfg.model.weights = str(run_dir), str(weights)
    cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
    cfg.train.steps, cfg.train.save_every, cfg.train.global_batch, cfg.train.seq_length = STEPS, 2, 4, 128
    return cfg


def logged(run_dir: Path) -> int:
    file = run_dir / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def half_written(run_dir: Path) -> set[str]:
    return {p.name for p in (run_dir / "checkpoints").glob(".step_*.tmp")}


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in row.items() if name not in TIMING} for row in rows]


@pytest.fixture(scope="module")
def unbroken(
    data: Path, chat: ChatTokenizer, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, float, float]:
    """Run directory, final state, seconds to the first step and seconds a step takes with its save."""
    folder = tmp_path_factory.mktemp("unbroken")
    life = begin(folder / "life", config(data, chat, weights["qwen2.5-tiny"], folder / "run"), background=False)
    while not logged(folder / "run") and time.monotonic() < life.began + LIFE_LIMIT_S:
        time.sleep(0.02)
    to_first = time.monotonic() - life.began
    result = life.result("train")
    return folder / "run", result, to_first, (time.monotonic() - life.began - to_first) / STEPS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("background", [False, True], ids=["waiting", "background"])
def test_twenty_kills(
    background: bool,
    data: Path,
    chat: ChatTokenizer,
    weights: dict[str, Path],
    unbroken: tuple[Path, Any, float, float],
    tmp_path: Path,
) -> None:
    expected_dir, expected_state, to_first_s, step_s = unbroken
    run_dir = tmp_path / "run"
    cfg = config(data, chat, weights["qwen2.5-tiny"], run_dir)
    moments = random.Random(f"kills {background}")
    died = Counter[str]()
    for kill in range(KILLS):
        before, left = logged(run_dir), half_written(run_dir)
        life = begin(tmp_path / f"life_{kill}", cfg, background)
        # one in five dies while starting; the time of steps is mostly that of saves
        early = kill % 5 == 4
        delay = moments.uniform(0, 0.8 * to_first_s) if early else to_first_s + moments.uniform(0, 4 * step_s)
        while time.monotonic() < life.began + delay and logged(run_dir) < before + MOST_STEPS:
            time.sleep(0.01)
        life.kill()
        saving = half_written(run_dir) - left
        died["saving" if saving else "training" if logged(run_dir) != before else "starting"] += 1
    state = begin(tmp_path / "last", cfg, background).result("train")

    print(f"killed while {dict(died)}")
    assert died.total() == KILLS
    assert died["saving"] >= 2 and died["starting"] + died["training"] >= 2
    assert state == expected_state
    assert metrics(run_dir) == metrics(expected_dir)
    assert [row["step"] for row in metrics(run_dir)] == list(range(1, STEPS + 1))
    folder, expected = run_dir / "checkpoints", expected_dir / "checkpoints"
    # no temporary and no damaged one
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in expected.iterdir())
    for name in ("latest", "best"):
        assert not (expected / name).exists() or os.readlink(folder / name) == os.readlink(expected / name)
    for file in sorted((expected / f"step_{STEPS}").glob("*.distcp")):
        assert (folder / f"step_{STEPS}" / file.name).read_bytes() == file.read_bytes(), file.name
