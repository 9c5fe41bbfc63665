"""How far a run with many ranks is, shown by rank 0: a bar on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tqdm import tqdm

from fleming_nemo.parallel import groups

LINE_EVERY_S = 10.0


def quiet() -> bool | None:
    """tqdm's `disable`: bars on rank 0 only, and there only on a terminal."""
    return None if groups.rank() == 0 else True


class Steps:
    """The steps `first` to `steps` of a training, to iterate over.

    Where there is no terminal to draw a bar on, as in the log of a job, a line stands for it: at most one every ten
    seconds, and one for the last step.
    """

    def __init__(self, stage: str, first: int, steps: int) -> None:
        self._stage, self._first, self._steps = stage, first, steps
        self._bar = tqdm(range(first, steps), f"{stage} training", steps, initial=first, disable=quiet())
        self._in_lines = groups.rank() == 0 and self._bar.disable
        self._began = self._told = time.monotonic()

    def __iter__(self) -> Iterator[int]:
        return iter(self._bar)

    def show(self, done: int, **values: str) -> None:
        """Tell what came out of a step, `done` steps being behind the run now."""
        self._bar.set_postfix(values)
        now = time.monotonic()
        if self._in_lines and (now - self._told >= LINE_EVERY_S or done == self._steps):
            self._told = now
            left_s = (now - self._began) / (done - self._first) * (self._steps - done)
            told = " ".join(f"{name}={value}" for name, value in values.items())
            clock = time.strftime("%H:%M:%S")
            left = tqdm.format_interval(left_s)
            print(f"{clock} {self._stage} step {done}/{self._steps}: {told} left={left}", flush=True)


def speeds(metrics: dict[str, float]) -> dict[str, str]:
    """Tokens per second and, where the peak is known, MFU, as `Steps.show` takes them."""
    shown = {"tok_s": f"{metrics['tokens_per_second']:.0f}"}
    return shown | ({"mfu": f"{metrics['mfu']:.1%}"} if "mfu" in metrics else {})
