"""Which waiting request goes to which server next.

    1. Groups (the samples of one prompt) that will take longest go first: what starts last should be short.
    2. A group stays on one server, whose prefix cache holds its prompt, while that server has room;
       a new group goes to the least loaded one.
    3. A server that would have room for nothing else takes from any group.
    4. At most `bound` requests are under way on a server: as many as it decodes together.

A scheduler keeps no clock and does no I/O, so that its rules are tested as they stand here.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fleming_nemo.rollout.vllm.server import Server

Job = TypeVar("Job")
Prompt = tuple[int, ...]


@dataclass(eq=False)
class Group(Generic[Job]):
    """Samples of one prompt that wait.

    Attributes:
        expected: tokens that a response will have, or as good a guess as there is.
        allowed: the servers that may take them (their weights are the right ones).
    """

    expected: float
    allowed: Callable[[Server], bool]
    waiting: deque[Job] = field(default_factory=deque)
    home: Server | None = None


class Queue(Generic[Job]):
    """All waiting requests, of all batches."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._groups: list[Group[Job]] = []

    def add(self, group: Group[Job]) -> None:
        """Put a group, also one that came back, where its length belongs."""
        if group not in self._groups:
            bisect.insort(self._groups, group, key=lambda g: -g.expected)

    def drop(self, groups: Sequence[Group[Job]]) -> None:
        """Forget the groups of a batch that has ended."""
        gone = set(map(id, groups))
        self._groups = [g for g in self._groups if id(g) not in gone]

    def __bool__(self) -> bool:
        return any(group.waiting for group in self._groups)

    def has_room(self, server: Server) -> bool:
        return server.alive and server.outstanding < self.bound

    def take(self, servers: Sequence[Server]) -> Iterator[tuple[Job, Server]]:
        """Hand out what fits, by the rules above; whoever takes one counts it in `server.outstanding` at once."""
        for stealing in (False, True):
            for group in list(self._groups):
                while group.waiting:
                    free = [s for s in servers if self.has_room(s) and group.allowed(s)]
                    server = self._choose(group, free, stealing)
                    if server is None:
                        break
                    group.home = server
                    yield group.waiting.popleft(), server
                if not any(map(self.has_room, servers)):
                    break
        self._groups = [group for group in self._groups if group.waiting]

    def _choose(self, group: Group[Job], free: Sequence[Server], stealing: bool) -> Server | None:
        if not free:
            return None
        home = group.home
        if home in free:
            return home
        if home is not None and home.alive and group.allowed(home) and not stealing:
            return None  # it is full, and will have room soon
        return min(free, key=lambda s: s.outstanding)


class Lengths:
    """How long responses to a prompt were: a moving average, so that a policy that changes is followed."""

    _KEEP = 0.5

    def __init__(self) -> None:
        self._mean: dict[Prompt, float] = {}
        self._all: float = 0.0

    def learn(self, prompt: Prompt, tokens: int) -> None:
        self._mean[prompt] = self._moved(self._mean.get(prompt, tokens), tokens)
        self._all = self._moved(self._all, tokens)

    def expected(self, prompt: Prompt) -> float:
        """Of a prompt never seen: that of all prompts, and a trifle more for a longer prompt."""
        return self._mean.get(prompt, self._all + len(prompt) * 1e-6)

    def _moved(self, before: float, tokens: int) -> float:
        return self._KEEP * before + (1 - self._KEEP) * tokens
