"""Run a config on this node: one process per rank, ended together, restarted by the same command."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.data import files
from fleming_nemo.launch import attempt, hang, lock, machine, markers
from fleming_nemo.launch.attempt import LOGS
from fleming_nemo.launch.output import Tee
from fleming_nemo.launch.preflight import check_precision, prepare_data
from fleming_nemo.launch.ranks import end, first_failure, passing_signals
from fleming_nemo.launch.worker import LAUNCHER_PID, RESULT
from fleming_nemo.training import checkpoint_files
from fleming_nemo.training.stop import STOPPED, Stopped
from fleming_nemo.training.watchdog import HUNG

TAIL_LINES = 20


class WorkerFailed(Exception):
    """A rank ended without finishing: its number, its exit code, the cause and the end of its log.

    If the run hung: where every rank was instead.
    """

    def __init__(self, failure: dict[str, Any], log: Path, processes: int) -> None:
        super().__init__(failure["cause"])
        self.exit_code: int = failure["exit_code"]
        if failure["kind"] == "hang":
            where = "".join(f"  {line}\n" for line in hang.report(log.parent, processes))
            stacks = log.parent / "stacks_rank_*.txt"
            self.report = f"the run hung: rank {failure['rank']} made {failure['cause']}\n{where}stacks in {stacks}\n"
            return
        self.report = f"rank {failure['rank']} failed: {failure['cause']}\n"
        if failure["rank"] == 0:
            self.report += f"the whole log is {log}\n"  # it has just been on the terminal
        else:
            self.report += f"last lines of {log}:\n" + "".join(f"  {line}" for line in _tail(log))


def launch(cfg: RunConfig) -> dict[str, Any]:
    """Run `cfg` to its end on this node and return rank 0's result; a finished run returns its result at once.

    SIGUSR1 and SIGUSR2, and inside a job of Slurm SIGTERM, ask the run to save and stop.

    Raises:
        UserError: something the user can repair, found here or by a worker.
        WorkerFailed: a worker crashed or hung.
        Stopped: a signal asked for it, or the file STOP.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all workers are gone by then.
    """
    gpus = machine.num_gpus()
    processes = machine.num_processes(cfg, gpus)
    validate(cfg, processes)
    on_gpus = machine.runs_on_gpus(cfg, processes, gpus)
    check_precision(cfg, on_gpus)
    folder = Path(cfg.run_dir)
    with lock.claim(cfg) as held:
        result = markers.read_done(folder)
        if result is not None:
            print(f"{folder} is finished; give another run_dir=... to run again", flush=True)
            return result
        markers.refuse_stopped(folder)
        markers.clear_failure(folder)
        prepare_data(cfg)
        with attempt.kept(folder) as logs:
            sizes = cfg.parallel
            dp = processes // (sizes.tp * sizes.pp * sizes.cp)
            split = f"tp {sizes.tp} x pp {sizes.pp} x cp {sizes.cp} x dp {dp}"
            where = "GPU" if on_gpus else "CPU"
            print(
                f"{cfg.stage}: {processes} {where} processes ({split}), run directory {folder}, logs {logs}", flush=True
            )
            _run_all(folder, processes, _environment(processes, on_gpus) | {LOGS: str(logs)}, logs, held)
            result = files.read_json(folder / RESULT)
            markers.write_done(folder, result)
            (folder / RESULT).unlink()
        return result


def _environment(processes: int, on_gpus: bool) -> dict[str, str]:
    env = dict(os.environ)
    env |= {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "PYTHONUNBUFFERED": "1",
        LAUNCHER_PID: str(os.getpid()),
    }
    env.setdefault("OMP_NUM_THREADS", str(max(1, machine.num_cores() // processes)))
    if not sys.stdout.isatty():
        env.setdefault("TQDM_MININTERVAL", "10")  # a log file needs no progress bar ten times a second
    if not on_gpus:
        env["CUDA_VISIBLE_DEVICES"] = ""
        # The host's own name may resolve to an address that gloo cannot reach; one node talks over loopback.
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return env


def _run_all(folder: Path, processes: int, env: dict[str, str], logs: Path, held: int) -> None:
    """Start the ranks and wait; the first one that fails ends the others."""
    command = [sys.executable, "-m", "fleming_nemo.launch.worker", str(folder / lock.CONFIG)]
    workers: list[subprocess.Popen[bytes]] = []
    tee = Tee(logs / "rank_0.log")
    with passing_signals(workers):
        try:
            for rank in range(processes):
                own = env | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                # No new session or group: a kill of the launcher's process group takes the workers too.
                with open(logs / f"rank_{rank}.log", "ab") as log:
                    out = tee.write_end if rank == 0 else log.fileno()
                    workers.append(
                        subprocess.Popen(
                            command,
                            env=own,
                            stdin=subprocess.DEVNULL,
                            stdout=out,
                            stderr=subprocess.STDOUT,
                            pass_fds=[held],
                        )
                    )
            tee.started()
            failed = first_failure(workers)
        finally:
            end(workers)
            tee.close()
    if failed is None:
        return
    code = workers[failed].returncode
    if code == STOPPED:
        raise Stopped("a signal or the file STOP", max(checkpoint_files.steps(folder), default=None))
    cause = f"ended with exit code {code}"
    if code == HUNG:  # without a word of its own: its interpreter was blocked
        cause = "no progress, with the interpreter blocked"
    if code < 0:
        cause = f"killed by {signal.Signals(-code).name}" + " (out of memory?)" * (code == -signal.SIGKILL)
        code = 128 - code
    failure = markers.write_failure(folder, failed, cause, exit_code=code)
    if failure["kind"] == "user":
        raise UserError(failure["cause"])
    raise WorkerFailed(failure, logs / f"rank_{failure['rank']}.log", processes)


def _free_port() -> int:
    """A port nobody listens on, below the ephemeral range: no outgoing connection takes it until rank 0 binds it."""
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def _tail(log: Path) -> list[str]:
    with open(log, encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n").rpartition("\r")[2] + "\n" for line in deque(lines, TAIL_LINES)]
