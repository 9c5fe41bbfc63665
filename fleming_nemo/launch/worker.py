"""One rank of a run: pick the run function by `task`, record how it ended."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.launch import markers

LAUNCHER_PID = "FLEMING_LAUNCHER_PID"
"""Set by `launch.local` for the processes it starts."""

RESULT = ".result.json"
"""What rank 0 hands to `launch.local`."""

_RUNS = {"sft": "fleming_nemo.sft.run", "grpo": "fleming_nemo.grpo.run", "evaluate": "fleming_nemo.evaluation.run"}


def run_worker(cfg: RunConfig) -> dict[str, Any]:
    """Do this rank's part of the run described by RANK, WORLD_SIZE and MASTER_*; returns the run's result.

    The first rank that fails leaves FAILED.json.
    """
    folder, rank = Path(cfg.run_dir), int(os.environ["RANK"])
    try:
        # Imported here: torch and megatron-core take seconds, and the launcher does without them.
        run: Callable[[RunConfig], dict[str, Any]] = importlib.import_module(_RUNS[cfg.task]).run
        return run(cfg)
    except Exception as error:
        markers.write_failure(folder, rank, error, exit_code=2 if isinstance(error, UserError) else 1)
        raise


def main() -> None:
    """Entry point of a process that `launch.local` started: `python -m fleming_nemo.launch.worker CONFIG.yaml`."""
    _die_with_launcher(int(os.environ[LAUNCHER_PID]))
    # Ctrl-C reaches the whole process group; the launcher alone answers it, by ending the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cfg = from_yaml(sys.argv[1], RunConfig)
    try:
        result = run_worker(cfg)
    except UserError:
        exit_now(2)  # the launcher reads the sentence from FAILED.json and says it once for all ranks
    except Exception:
        traceback.print_exc()
        exit_now(1)
    if os.environ["RANK"] == "0":
        # Not DONE yet: that is for the launcher to say, once every rank has ended well.
        files.write_json(Path(cfg.run_dir) / RESULT, result)


def exit_now(code: int) -> None:
    """End without the exit handlers of the collectives, which would wait for peers that wait for this rank."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _die_with_launcher(launcher: int) -> None:
    """Have the kernel kill this process when its launcher ends, however it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != launcher:  # it ended before the line above
        exit_now(1)


if __name__ == "__main__":
    main()
