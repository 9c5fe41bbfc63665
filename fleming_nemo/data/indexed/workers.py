"""A job done by several processes, which end with the process that started them however it ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from fleming_nemo.config.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Generic[Task, Result]):
    """`start()` is called once in each of `count` fresh processes and returns the job; for one, in this process.

    Each process has a pipe of its own, and reads the end of it when this process is gone.
    """

    def __init__(self, count: int, start: Callable[[], Callable[[Task], Result]]) -> None:
        self._count, self._start = count, start

    def results(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """What the job makes of each task, as soon as it is ready, in any order.

        Raises:
            UserError: as the job did, or because a process was killed.
        """
        if self._count == 1:
            job = self._start()
            yield from map(job, tasks)
            return
        context = multiprocessing.get_context("spawn")
        idle: list[Connection] = []
        processes = {}
        try:
            for _ in range(self._count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, self._start), daemon=True)
                process.start()
                theirs.close()
                processes[ours] = process
                idle.append(ours)
            busy: set[Connection] = set()
            for task in tasks:
                if not idle:
                    for connection in self._ready(busy):
                        yield self._receive(connection, processes[connection])
                        busy.remove(connection)
                        idle.append(connection)
                connection = idle.pop()
                busy.add(connection)
                with contextlib.suppress(ConnectionError):  # it died while idle; receiving says how
                    connection.send(task)
            while busy:
                for connection in self._ready(busy):
                    yield self._receive(connection, processes[connection])
                    busy.remove(connection)
        finally:
            for connection, process in processes.items():
                connection.close()
                process.terminate()
                process.join()

    def _ready(self, busy: set[Connection]) -> list[Connection]:
        return [c for c in wait(list(busy)) if isinstance(c, Connection)]

    def _receive(self, connection: Connection, process: multiprocessing.process.BaseProcess) -> Result:
        try:
            error, result = connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            if process.exitcode == -signal.SIGKILL:
                raise UserError(
                    "a worker process was killed, probably for want of memory; run the same command again with fewer "
                    "--workers (what is finished is kept)"
                ) from None
            raise RuntimeError(f"a worker process ended with exit code {process.exitcode}") from None
        if error is not None:
            raise UserError(error)
        return result


def _serve(connection: Connection, start: Callable[[], Callable[[Task], Result]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-c ends the process that started this one
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the cores are taken
    try:
        job = None
        while True:
            task = connection.recv()
            try:
                job = job or start()
                result = job(task)
            except UserError as error:
                connection.send((str(error), None))
            else:
                connection.send((None, result))
    except (EOFError, ConnectionError):
        return
