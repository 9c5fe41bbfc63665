"""What runs on the other side of a submission: one function of a resolved config, which pickles by reference."""

from __future__ import annotations

import copy
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.launch import markers, slurm_env
from fleming_nemo.parallel import lifeline
from fleming_nemo.training import stop

Config = RunConfig | DemoConfig


@dataclass
class Task:
    """A unit of work that a scheduler may start, kill and start again; the run directory knows how far it is.

    Attributes:
        kind: `run`, the same entry point as `python recipes/...`; `data`, `mine` or `evaluate`, the other links of a
            chain.
        cfg: the resolved config, which holds no secret: keys of endpoints are read from files where they are used.
    """

    kind: str
    cfg: Config

    @property
    def run_dir(self) -> Path:
        """Where its DONE marker will be."""
        return Path(self.cfg.run_dir + ("-mining" if self.kind == "mine" else ""))

    def __call__(self) -> dict[str, Any]:
        if isinstance(self.cfg, DemoConfig) or os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
            return _KINDS[self.kind](self.cfg)
        return _as_rank(lambda: _KINDS[self.kind](self.cfg))

    def checkpoint(self) -> Any:
        """What submitit submits after a signal that came before the run could heed it: the same again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _as_rank(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One rank that Slurm started, be it the only one: it heeds signals, and ends with the exit codes of every rank.

    What it raised is in FAILED.json; to submitit alone, every failure would be exit code 1.
    """
    from fleming_nemo.launch.main import exit_with

    stop.heed()
    if "RANK" not in os.environ:
        os.environ |= slurm_env.from_slurm(os.environ)
    done: list[dict[str, Any]] = []
    try:
        exit_with(lambda: done.append(work()), debug=False)
    except SystemExit as ended:
        if ended.code:
            raise
    return done[0]


def _run(cfg: Config) -> dict[str, Any]:
    from fleming_nemo.launch.main import execute

    return execute(cfg)


def _data(cfg: Config) -> dict[str, Any]:
    """Build the data directory, or see that it is there; the later links only read it."""
    from fleming_nemo.launch.preflight import prepare_data

    assert isinstance(cfg, RunConfig)
    prepare_data(cfg)
    result = {"data": cfg.data.dir}
    markers.write_done(Path(cfg.run_dir), result)
    return result


def _mine(cfg: Config) -> dict[str, Any]:
    from fleming_nemo.launch.mine import mine_alone

    return mine_alone(cfg)


def _evaluate(cfg: Config) -> dict[str, Any]:
    """Evaluate, then write the report of this run and that of the whole chain, whose directory is the parent."""
    from fleming_nemo.launch.main import execute

    alone = copy.deepcopy(cfg)
    assert isinstance(alone, RunConfig)
    alone.task = "evaluate"
    result = execute(alone)
    if os.environ.get("RANK", "0") == "0":
        from fleming_nemo.report.html import write_report  # matplotlib is slow to import

        write_report(alone.run_dir)
        write_report(Path(alone.run_dir).parent)
    return result


_KINDS: dict[str, Callable[[Config], dict[str, Any]]] = {
    "run": _run,
    "data": _data,
    "mine": _mine,
    "evaluate": _evaluate,
}


def main() -> None:
    """One task of `launch.in_turn`, which hands it over on standard input."""
    from fleming_nemo.launch.main import exit_with
    from fleming_nemo.launch.worker import LAUNCHER_PID

    lifeline.end_with(int(os.environ.pop(LAUNCHER_PID)))
    task: Task = pickle.load(sys.stdin.buffer)
    exit_with(lambda: print(task()), debug=False)


if __name__ == "__main__":
    main()
