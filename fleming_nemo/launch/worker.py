"""One rank of a run: pick the run function by `task`, record how it ended."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.launch import hang, markers
from fleming_nemo.parallel import determinism, lifeline
from fleming_nemo.training import stop
from fleming_nemo.training.stop import STOPPED, Stopped

LAUNCHER_PID = "FLEMING_LAUNCHER_PID"
"""Set by `launch.local` for the processes it starts."""

RESULT = ".result.json"
"""What rank 0 hands to `launch.local`."""

_RUNS = {
    "sft": "fleming_nemo.sft.run",
    "grpo": "fleming_nemo.grpo.run",
    "mine": "fleming_nemo.grpo.curriculum.alone",
    "drift": "fleming_nemo.grpo.drift_check",
    "evaluate": "fleming_nemo.evaluation.run",
}


def run_worker(cfg: RunConfig) -> dict[str, Any]:
    """Do this rank's part of the run described by RANK, WORLD_SIZE and MASTER_*; returns the run's result.

    The first rank that fails, or notices that nothing goes on, leaves FAILED.json.
    """
    folder, rank = Path(cfg.run_dir), int(os.environ["RANK"])
    try:
        if cfg.train.deterministic:
            determinism.set_environment(os.environ)
        with hang.watched(cfg, rank):
            # Imported here: torch and megatron-core take seconds, and the launcher does without them.
            run: Callable[[RunConfig], dict[str, Any]] = importlib.import_module(_RUNS[cfg.task]).run
            return run(cfg)
    except Stopped:
        raise
    except Exception as error:
        if stop.asked() and markers.is_lost(error):  # the others were asked as well, and have left
            raise Stopped(stop.asked() or "") from error
        told = _as_user_error(error)
        failure = markers.write_failure(folder, rank, told, exit_code=2 if isinstance(told, UserError) else 1)
        if failure["kind"] == "hang":  # another rank has ended for that, and this one could not go on without it
            traceback.print_exc()
            exit_now(failure["exit_code"])
        if told is error:
            raise
        raise told from error


def main() -> None:
    """Entry point of a process that `launch.local` started: `python -m fleming_nemo.launch.worker CONFIG.yaml`."""
    stop.heed()
    lifeline.end_with(int(os.environ[LAUNCHER_PID]))
    # Ctrl-C reaches the whole process group; the launcher alone answers it, by ending the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_on_cpu()
    cfg = from_yaml(sys.argv[1], RunConfig)
    try:
        result = run_worker(cfg)
    except UserError as error:
        # The launcher reads the sentence from FAILED.json and says it once for all ranks.
        if not (Path(cfg.run_dir) / markers.FAILED).exists():
            print(f"error: {error}", file=sys.stderr)
        exit_now(2)
    except Stopped:
        exit_now(STOPPED)
    except Exception:
        traceback.print_exc()
        exit_now(1)
    if os.environ["RANK"] == "0":
        # Not DONE yet: that is for the launcher to say, once every rank has ended well.
        files.write_json(Path(cfg.run_dir) / RESULT, result)


def _as_user_error(error: Exception) -> Exception:
    """A full disk is the user's to repair, wherever it was met; other errors stay what they are."""
    # Also as text: megatron-core writes checkpoints in helper processes and tells what these said.
    texts = [f"[Errno {code}]" for code in (errno.ENOSPC, errno.EDQUOT)]
    if isinstance(error, OSError) and any(text in str(error) for text in texts):
        return UserError(f"the disk is full ({error}); free some, and the same command goes on where it was")
    return error


def quiet_on_cpu() -> None:
    """Without a GPU, leave out what megatron-core says about GPU extensions that are not there."""
    if not Path("/proc/driver/nvidia/version").exists() or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        warnings.filterwarnings("ignore", module=r"megatron\.|torch\.distributed\.|fleming_nemo\.parallel\.cpu_backend")


def exit_now(code: int) -> None:
    """End without the exit handlers of the collectives, which would wait for peers that wait for this rank."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
