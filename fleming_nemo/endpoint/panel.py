"""What a run shows of itself while it asks: a bar on a terminal, nothing in a log, one line at the end."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm


@dataclass
class Tally:
    """What was done in this run.

    Attributes:
        calls: requests sent to the server, retries included.
        retries: calls after the first one of the same request.
        cached: requests answered from the cache.
        damaged: lines of the cache that cannot be used; what they answered is asked again.
        lost_tokens: upper bound of what the server may have charged for calls whose reply did not arrive whole.
        passing: calls that failed and may be repeated, by reason.
        failures: requests without an answer, by reason.
    """

    calls: int = 0
    retries: int = 0
    cached: int = 0
    damaged: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lost_tokens: int = 0
    cost: float = 0.0
    passing: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


class Panel:
    """Progress of one run over pieces of work; use as a context manager.

    Each piece is counted once, by `accepted` or by `rejected`. Time left is that of tqdm.
    """

    def __init__(self, label: str = "asking", total: int | None = None) -> None:
        self.label = label
        self.tally = Tally()
        self.num_accepted = 0
        self.reasons: Counter[str] = Counter()
        self._bar: Any = tqdm(total=total, desc=label, unit="item", disable=None, mininterval=0.5)

    def accepted(self) -> None:
        self.num_accepted += 1
        self._step()

    def rejected(self, reason: str) -> None:
        self.reasons[reason] += 1
        self._step()

    @property
    def num_rejected(self) -> int:
        return sum(self.reasons.values())

    def _step(self) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(self.figures(), refresh=False)
        self._bar.update()

    def figures(self) -> str:
        """Accepted and rejected pieces, calls, cached answers, tokens in and out, cost."""
        t = self.tally
        parts = [f"{self.num_accepted} accepted", f"{self.num_rejected} rejected", f"{t.calls} calls"]
        if t.retries:
            parts.append(f"{t.retries} of them retries")
        parts.append(f"{t.cached} cached")
        if t.damaged:
            parts.append(f"{t.damaged} damaged in the cache")
        parts.append(f"{t.prompt_tokens} + {t.completion_tokens} tokens")
        if t.lost_tokens:
            parts.append(f"up to {t.lost_tokens} in broken replies")
        if t.cost:
            parts.append(f"cost {t.cost:.4f}")
        return ", ".join(parts)

    def summary(self) -> str:
        """One line, for the end of a script."""
        return f"{self.label}: {self.figures()}"

    def close(self) -> None:
        self._bar.close()

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, *_: object) -> None:
        """A log shows no bar, so it gets the figures at the end, also of a run that failed after it had paid."""
        self.close()
        if self._bar.disable and (self.tally.calls or self.tally.cached):
            print(self.summary(), file=sys.stderr)
