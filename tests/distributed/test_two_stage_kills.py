"""kill -9 at thirty random moments of a GRPO run of two stages: it ends where an unbroken run does, bit by bit.

Stage 1 ends by itself where its reward is flat, stage 2 mines, mines again and refills.  A life is killed in a phase
drawn from a fixed seed, a random share of that phase's usual time after it has begun, and the same command follows at
once, while writers of checkpoints may still live.  What each life was doing when it died is printed.
"""

import json
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import test_curriculum_runs
import two_stage_work
from harness import Case
from lives import LIFE_LIMIT_S, Life
from two_stage_work import BEGIN, END

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer

pytestmark = pytest.mark.slow
data = test_curriculum_runs.data

KILLS = 30
STAGES = ("grpo_stage1", "grpo_stage2")
PHASES = {
    "grpo_stage1": ("starting", "generate", "score", "update", "checkpoint", "evaluate"),
    "grpo_stage2": ("starting", "mining", "generate", "score", "update", "checkpoint", "evaluate"),
}
LAST = "evaluation"
"""The phase after the steps of a stage; in stage 1 the switch to the next one has then begun."""
IN_STAGE_1 = 13
"""Lives before the first one that is meant to see the end of stage 1."""
TIMING = ("seconds", "tokens_per_second", "mfu", "from_bank")
REPORTS = ("switch.json", "mined.json", "mining.json", "eval.json", "eval_samples.jsonl")


@dataclass(frozen=True)
class Target:
    """Where a life shall end: the `nth` time (from 1) that it enters a phase of a stage."""

    stage: str
    phase: str
    nth: int


class Run:
    """Both stages in one folder, and its lives."""

    def __init__(self, folder: Path, data: Path, chat: ChatTokenizer, weights: Path) -> None:
        self.folder = folder
        self.lives = 0
        self._cases: list[Case] = []
        for number, stage in enumerate(STAGES, 1):
            cfg = config(data, chat, Path(stage), Path(STAGES[0]) if number == 2 else weights, number)
            self._cases.append(Case(stage, two_stage_work.stage, (cfg, folder / "told")))

    @property
    def in_stage_1(self) -> bool:
        return len(self._cases) == len(STAGES)

    def dir_of(self, stage: str) -> Path:
        return self.folder / stage

    def live(self) -> Life:
        """Start what is left of the recipe."""
        self.lives += 1
        (self.folder / "told").write_text("")
        return Life(self.folder / f"life_{self.lives}", self._cases)

    def told(self) -> list[tuple[str, str]]:
        """(stage, phase) of every phase that the present life has entered."""
        lines = (self.folder / "told").read_text().split("\n")[:-1]
        return [(stage, phase) for stage, phase in map(str.split, lines)]

    def note(self, life: Life) -> None:
        """A stage that has ended is not started again, as in `fleming demo`."""
        self._cases = [case for case in self._cases if not life.finished(case.name)]


def config(data: Path, chat: ChatTokenizer, run_dir: Path, weights: Path, stage: int) -> RunConfig:
    cfg = test_curriculum_runs.config(data, chat, run_dir, weights, stage)
    cfg.train.save_every, cfg.eval.every = 2, 2
    cfg.train.steps = 40 if stage == 1 else 10
    return cfg


@pytest.fixture(scope="module")
def unbroken(
    data: Path, chat: ChatTokenizer, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, dict[tuple[str, str], float]]:
    """A run that nobody disturbs, and the usual seconds of its phases."""
    run = Run(tmp_path_factory.mktemp("unbroken"), data, chat, weights["qwen2.5-tiny"])
    life = run.live()
    entered: list[tuple[tuple[str, str], float]] = []
    while life.alive and time.monotonic() < life.began + LIFE_LIMIT_S:
        entered += [(phase, time.monotonic()) for phase in run.told()[len(entered) :]]
        time.sleep(0.005)
    life.result(STAGES[1])
    seconds: dict[tuple[str, str], list[float]] = {}
    for (phase, began), (_, ended) in zip(entered, entered[1:], strict=False):
        seconds.setdefault(phase, []).append(ended - began)
    return run, {phase: statistics.median(found) for phase, found in seconds.items()}


@pytest.mark.timeout(900)
def test_thirty_kills(
    data: Path,
    chat: ChatTokenizer,
    weights: dict[str, Path],
    unbroken: tuple[Run, dict[tuple[str, str], float]],
    tmp_path: Path,
) -> None:
    expected, usual_s = unbroken
    run = Run(tmp_path, data, chat, weights["qwen2.5-tiny"])
    moments = random.Random(30)
    died = Counter[tuple[str, str]]()
    for kill in range(KILLS):
        target = drawn(kill, run, died, moments)
        life = run.live()
        wait_for(run, life, target)
        stage, phase = run.told()[-1]
        # the last phase of all leaves no time to be late
        time.sleep(moments.random() * usual_s[stage, phase] * (0.5 if (stage, phase) == (STAGES[1], LAST) else 1))
        life.kill()
        died[place(run, *run.told()[-1])] += 1
        print(kill, target, "->", *run.told()[-1])
        run.note(life)
    result = run.live().result(STAGES[1])

    for stage in STAGES:
        print(stage, {phase: count for (s, phase), count in sorted(died.items()) if s == stage})
    assert died.total() == KILLS
    by_phase = Counter({phase: sum(n for (_, p), n in died.items() if p == phase) for _, phase in died})
    assert all(by_phase[phase] for phase in ("generate", "update", "checkpoint", "mining", "switch")), by_phase
    assert result == json.loads((expected.dir_of(STAGES[1]) / "eval.json").read_text())
    for stage in STAGES:
        assert_same(run.dir_of(stage), expected.dir_of(stage))
    rows = [json.loads(line) for s in STAGES for line in (run.dir_of(s) / "metrics.jsonl").read_text().splitlines()]
    assert any(row["from_bank"] for row in rows), "no life took what another had drawn"


def drawn(kill: int, run: Run, died: Counter[tuple[str, str]], moments: random.Random) -> Target:
    """What the life of this number is meant to die in."""
    if run.in_stage_1 and kill >= IN_STAGE_1:
        return Target(STAGES[0], LAST, 1) if kill % 2 else Target(STAGES[1], BEGIN, 1)
    stage = STAGES[0] if run.in_stage_1 else STAGES[1]
    # those first that were hit less than twice: some are so short that a kill often comes late
    wanted = [phase for phase in PHASES[stage] if died[stage, phase] < 2] or PHASES[stage]
    phase = wanted[kill % len(wanted)]
    # a life starts once; most die before they have got a step further
    return Target(stage, phase, 1 if phase == BEGIN or moments.random() < 0.7 else 2)


def wait_for(run: Run, life: Life, target: Target) -> None:
    """Until the life is where the target is, or cannot come there any more."""
    while life.alive and time.monotonic() < life.began + LIFE_LIMIT_S:
        told = run.told()
        if told.count((target.stage, target.phase)) >= target.nth:
            return
        passed = STAGES[STAGES.index(target.stage) :]
        if any((stage, LAST) in told for stage in passed) or (target.stage, END) in told:
            return
        time.sleep(0.003)


def place(run: Run, stage: str, phase: str) -> tuple[str, str]:
    """What a life died in, as the table names it."""
    begun = (run.dir_of(STAGES[1]) / "mined.json").is_file()
    if stage == STAGES[0] and phase in (LAST, END) or stage == STAGES[1] and phase == BEGIN and not begun:
        return stage, "switch"
    return stage, phase


def assert_same(got: Path, expected: Path) -> None:
    assert metrics(got) == metrics(expected)
    assert [row["step"] for row in metrics(got)] == list(range(1, len(metrics(expected)) + 1))
    for name in REPORTS:
        assert (got / name).is_file() == (expected / name).is_file(), name
        assert not (got / name).is_file() or (got / name).read_text() == (expected / name).read_text(), name
    rollouts = [sorted(p.name for p in (run / "rollouts").iterdir()) for run in (got, expected)]
    assert rollouts[0] == rollouts[1]
    assert all(
        (got / "rollouts" / name).read_bytes() == (expected / "rollouts" / name).read_bytes() for name in rollouts[0]
    )
    assert not list((got / "bank").iterdir()), "a checkpoint contains it all"
    folders = [run / "checkpoints" for run in (got, expected)]
    names = [sorted(p.name for p in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        first, second = (folder / name for folder in folders)
        if first.is_symlink():
            assert os.readlink(first) == os.readlink(second)
            continue
        states = [json.loads((checkpoint / "state.json").read_text()) for checkpoint in (first, second)]
        assert all(state.pop("files") for state in states)
        assert states[0] == states[1]
        tensors = [sorted(p.name for p in checkpoint.glob("*.distcp")) for checkpoint in (first, second)]
        assert tensors[0] == tensors[1]
        for file in (*tensors[0], "rng.pt"):
            assert (first / file).read_bytes() == (second / file).read_bytes(), (name, file)


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMING} for row in rows]
