"""Runs cases of several ranks in a few sets of processes, and hands back what rank 0 returned.

Starting Python with torch and megatron-core takes seconds, so one server imports them once and every process is forked
from it; a set of processes runs a handful of cases one after another, each in a default process group of its own.
Not more than that: gloo's threads stay behind when a group is destroyed.
"""

import multiprocessing
import pickle
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

CASES_PER_SET = 6
COLLECTIVE_LIMIT_S = 60
SET_LIMIT_S = 150
PRELOAD = ["fleming_nemo.sft.run", "fleming_nemo.grpo.run", "fleming_nemo.rollout.local", "tiny"]


@dataclass(frozen=True)
class Case:
    """`function(*arguments)` on every one of `world` ranks.

    Attributes:
        after: name of a case whose results on disk it needs; it then runs in later processes than that one.
        killed: all ranks are expected to die of SIGKILL instead of returning; always a set of its own.
        collective_limit_s: a collective operation may take so long.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    world: int = 2
    after: str | None = None
    killed: bool = False
    collective_limit_s: float = COLLECTIVE_LIMIT_S


@dataclass
class Failure:
    """Why a case has no value."""

    text: str


@dataclass
class Harness:
    """Results by name of the case; a `Failure` where there is no value."""

    folder: Path
    results: dict[str, Any] = field(default_factory=dict)
    sets: int = 0

    def run(self, cases: Sequence[Case]) -> None:
        waiting = list(cases)
        while waiting:
            ready = [c for c in waiting if c.after is None or c.after in self.results]
            first = ready[0]
            alike = [c for c in ready if (c.world, c.killed) == (first.world, first.killed)]
            chosen = alike[: 1 if first.killed else CASES_PER_SET]
            self._run_set(chosen)
            waiting = [c for c in waiting if c.name not in self.results]

    def _run_set(self, cases: list[Case]) -> None:
        """Run until the first failure: what comes after it is left for another set."""
        self.sets += 1
        folder = self.folder / f"set_{self.sets}"
        folder.mkdir()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        world = cases[0].world
        ranks = [context.Process(target=_rank, args=(rank, world, cases, folder)) for rank in range(world)]
        for process in ranks:
            process.start()
        limit = time.monotonic() + SET_LIMIT_S
        while any(p.is_alive() for p in ranks) and time.monotonic() < limit and not any(p.exitcode for p in ranks):
            time.sleep(0.02)
        if any(p.exitcode for p in ranks):
            time.sleep(0.5)  # the first to fail is not always the one that says why
        for process in ranks:
            process.kill()
            process.join()
        self._collect(cases, folder, [p.exitcode for p in ranks])

    def _collect(self, cases: list[Case], folder: Path, exit_codes: list[int | None]) -> None:
        for case in cases:
            file = folder / f"{case.name}.pickle"
            if file.is_file():
                self.results[case.name] = pickle.loads(file.read_bytes())
                continue
            if case.killed and all(code == -9 for code in exit_codes):
                self.results[case.name] = None
                continue
            told = "\n".join(f.read_text() for f in sorted(folder.glob("rank_*.txt")))
            self.results[case.name] = Failure(told or f"no result within the limit; exit codes {exit_codes}")
            return


def _rank(rank: int, world: int, cases: list[Case], folder: Path) -> None:
    from fleming_nemo.parallel import groups  # first: it switches the CPU backend on

    import torch  # isort: skip
    import torch.distributed as dist  # isort: skip

    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), world)
    for case in cases:
        dist.init_process_group(
            "gloo",
            store=dist.PrefixStore(case.name, store),
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=case.collective_limit_s),
        )
        try:
            value = case.function(*case.arguments)
        except BaseException:
            (folder / f"rank_{rank}.txt").write_text(f"{case.name}, rank {rank}:\n{traceback.format_exc()}")
            raise
        dist.barrier()
        if rank == 0:
            temporary = folder / ".result"
            temporary.write_bytes(pickle.dumps(value))
            temporary.rename(folder / f"{case.name}.pickle")
        groups.shutdown()


def value(results: dict[str, Any], name: str) -> Any:
    """What a case returned; the test that asks fails if the case did."""
    if isinstance(results[name], Failure):
        pytest.fail(results[name].text, pytrace=False)
    return results[name]
