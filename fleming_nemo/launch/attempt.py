"""What a batch script asks before and after its ranks: may the run start, and what is to be done now that it ended?

python -m fleming_nemo.launch.attempt begin RUN_DIR
    prints the folder of this attempt's logs
    exit code 0: start the ranks; 10: finished already; 11: stop, the reason is on stderr; 2: the user can repair it
python -m fleming_nemo.launch.attempt end RUN_DIR --code N [--signal time|preempt]
    exit code 0: finished; 20: requeue this job; 21: requeue it without the nodes that are printed; 2: stop
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.launch import attempts, budget, causes, markers, scheduler
from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.metrics import last_step
from fleming_nemo.training.stop import STOP, STOPPED, Stopped

LOGS = "FLEMING_LOGS"
"""Folder of this attempt's logs, told to the ranks by whoever starts them; else `logs` of the run directory."""

GO, DONE_ALREADY, NO_MORE = 0, 10, 11
REQUEUE, REQUEUE_WITHOUT, NOT_AGAIN = 20, 21, 2


def begin(folder: Path, environ: Mapping[str, str]) -> tuple[int, str, Attempt | None]:
    """Open an attempt, if there may be one: exit code, sentence for a person, and the attempt.

    Raises:
        UserError: the run directory cannot be written.
    """
    with attempts.locked(folder):
        _close_vanished(folder, environ)
        if markers.read_done(folder) is not None:
            return DONE_ALREADY, f"{folder} is finished; give another run_dir=... to run again", None
        rows = attempts.read(folder)
        if rows and rows[-1].cause is None:
            other = f"job {rows[-1].job}" if rows[-1].job else f"process {rows[-1].pid} on {rows[-1].host}"
            return NO_MORE, f"{folder} is in use by {other}; wait for it to end, or cancel it", None
        if (folder / STOP).exists():
            return NO_MORE, f"{folder / STOP} asks this run not to go on; delete that file and submit it again", None
        fresh = _submitted_anew(rows, environ)
        why = None if fresh else budget.used_up(rows)
        if why is not None:
            return NO_MORE, why, None
        markers.clear_failure(folder)
        return GO, "", attempts.opened(folder, environ, last_step(folder) or 0, fresh)


def end(folder: Path, code: int, warned: str | None, environ: Mapping[str, str]) -> tuple[int, str, list[str]]:
    """Complete this job's attempt: exit code, sentence for a person, and all nodes of this run to be avoided."""
    with attempts.locked(folder):
        rows = attempts.read(folder)
        mine = [row for row in rows if row.cause is None and _is_mine(row, environ)]
        if not mine:
            return NOT_AGAIN, f"no attempt of this job is open in {folder}; it has been taken over", []
        ending = causes.of_end(folder, mine[-1], code, warned)
        closed = _closed(folder, mine[-1], ending, code=code)
        rows = attempts.read(folder)
    said = f"attempt {closed.number} ended: {closed.cause}" + (f" ({closed.told})" if closed.told else "")
    if ending.cause == attempts.FINISHED:
        return 0, said, []
    if ending.settled:
        return NOT_AGAIN, said, []
    why = budget.used_up(rows)
    if why is not None:
        return NOT_AGAIN, why if ending.cause == attempts.USER else f"{said}; not started again: {why}", []
    excluded = sorted({name for row in rows for name in row.excluded})
    return (REQUEUE_WITHOUT if ending.excluded else REQUEUE), said, excluded


@contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """An attempt around the ranks of a run that a person started, with the folder of its logs.

    Where a batch script keeps the attempts (FLEMING_LOGS names a folder of this run), nothing is written.  Call it with
    the run directory claimed: an attempt that is still open has no process any more.
    """
    given = os.environ.get(LOGS)
    if given and Path(given).resolve().parent == (folder / "logs").resolve():
        yield Path(given)
        return
    with attempts.locked(folder):
        for row in [row for row in attempts.read(folder) if row.cause is None]:
            ending, last_sign = causes.of_vanished(folder, row, 0, same_job=False)
            _closed(folder, row, ending, last_sign)
        row = attempts.opened(folder, os.environ, last_step(folder) or 0, fresh=True)
    code = 1
    try:
        yield folder / row.logs
        code = 0
    except UserError:
        code = 2
        raise
    except Stopped:
        code = STOPPED
        raise
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
        raise
    except Exception as error:
        code = getattr(error, "exit_code", 1)
        raise
    finally:
        with attempts.locked(folder):
            _closed(folder, row, causes.of_end(folder, row, code, None), code=code)


def _close_vanished(folder: Path, environ: Mapping[str, str]) -> None:
    """Complete the rows of attempts that are over without having said so."""
    restart = int(environ.get("SLURM_RESTART_COUNT") or 0)
    for row in [row for row in attempts.read(folder) if row.cause is None]:
        same = row.job is not None and row.job == environ.get("SLURM_JOB_ID")
        if same and restart == row.restart:
            continue  # this very job has begun it: a second step of it asks
        if not same and _goes_on(row):
            continue
        ending, last_sign = causes.of_vanished(folder, row, restart, same)
        _closed(folder, row, ending, last_sign)


def _goes_on(row: Attempt) -> bool:
    """Whether whoever began it is still there, as far as one can see from here."""
    if row.job is not None:
        job = scheduler.job(row.job)
        return job is not None and job.state in scheduler.GOING and job.restarts == row.restart
    return row.host == attempts.host(os.environ) and Path(f"/proc/{row.pid}").exists()


def _closed(
    folder: Path, row: Attempt, ending: causes.Ending, at: float | None = None, code: int | None = None
) -> Attempt:
    return attempts.close(
        folder,
        row.number,
        end=time.time() if at is None else at,
        last_step=last_step(folder),
        cause=ending.cause,
        told=ending.told,
        exit_code=code,
        excluded=ending.excluded,
    )


def _is_mine(row: Attempt, environ: Mapping[str, str]) -> bool:
    if row.job is None:
        return "SLURM_JOB_ID" not in environ
    return row.job == environ.get("SLURM_JOB_ID") and row.restart == int(environ.get("SLURM_RESTART_COUNT") or 0)


def _submitted_anew(rows: Sequence[Attempt], environ: Mapping[str, str]) -> bool:
    """Whether a person submitted this job after the attempt before had ended, knowing how: not a link of a chain."""
    job_id = environ.get("SLURM_JOB_ID")
    if not rows or job_id is None:
        return True
    if int(environ.get("SLURM_RESTART_COUNT") or 0) or any(row.job == job_id for row in rows):
        return False
    job = scheduler.job(job_id)
    return job is not None and job.submitted > (rows[-1].end or rows[-1].start)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fleming_nemo.launch.attempt", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, told in (("begin", "before the ranks are started"), ("end", "after they ended")):
        verb = verbs.add_parser(name, help=told)
        verb.add_argument("run_dir", type=Path)
    verb.add_argument("--code", type=int, required=True, help="exit code of the ranks")
    verb.add_argument("--signal", choices=("time", "preempt"), help="what announced the end, if anything did")
    args = parser.parse_args(argv)
    with reported(args.debug):
        if args.verb == "begin":
            code, said, row = begin(args.run_dir, os.environ)
            if row is not None:
                print(args.run_dir / row.logs)
        else:
            code, said, excluded = end(args.run_dir, args.code, args.signal, os.environ)
            if code == REQUEUE_WITHOUT:
                print(",".join(excluded))
    if said:
        print(said, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
