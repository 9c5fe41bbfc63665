"""The rollout engine of a run, opened once: the trainer itself, or vLLM servers that get its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout import local
from fleming_nemo.rollout.episodes import Examiner
from fleming_nemo.rollout.remote import RemoteEngine
from fleming_nemo.training.engine import Engine


class Rollouts(Protocol):
    """What a run samples with.  All methods but `events` and `close` are collective."""

    @property
    def remote(self) -> RemoteEngine | None:
        """The engine, where it is not the trainer."""
        ...

    def examiner(self, bar: tqdm | None = None) -> Examiner:
        """Plays episodes; `bar` counts finished sequences."""
        ...

    def refresh(self, version: int) -> None:
        """The trainer's weights are now those of training step `version`, and the engine gets them."""
        ...

    def rest(self) -> None:
        """Training comes next: the engine gives back the memory that it shares with it."""
        ...

    def events(self) -> list[dict[str, Any]]:
        """What has happened to the engine since the last call (rank 0 alone knows)."""
        ...

    def close(self) -> None: ...


class InProcess:
    """The trainer's weights in place: always up to date."""

    @property
    def remote(self) -> None:
        return None

    def __init__(self, cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> None:
        self._of = (cfg, engine, chat)

    def examiner(self, bar: tqdm | None = None) -> Examiner:
        return local.examiner(*self._of, bar)

    def refresh(self, version: int) -> None: ...

    def rest(self) -> None: ...

    def events(self) -> list[dict[str, Any]]:
        return []

    def close(self) -> None: ...


class Served:
    """Servers.  They are started, or found, when they are first asked for something."""

    def __init__(self, cfg: RunConfig, chat: ChatTokenizer, remote: RemoteEngine) -> None:
        self.cfg, self.chat = cfg, chat
        self._remote = remote
        self.refresh, self.rest, self.events, self.close = remote.refresh, remote.rest, remote.events, remote.close

    @property
    def remote(self) -> RemoteEngine:
        return self._remote

    def examiner(self, bar: tqdm | None = None) -> Examiner:
        self.remote.progress = bar.update if bar is not None else lambda finished: None
        return Examiner(self.remote, self.chat, self.cfg.data.system_prompt, self.cfg.rollout.max_response)


@contextmanager
def opened(cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> Iterator[Rollouts]:
    """The engine that `rollout.engine` names; on leaving, servers that were started are ended."""
    rollouts: Rollouts
    if cfg.rollout.engine == "trainer":
        rollouts = InProcess(cfg, engine, chat)
    else:
        from fleming_nemo.rollout import servers  # brings HTTP along, which no other engine needs

        rollouts = Served(cfg, chat, servers.remote(cfg, engine, chat))
    try:
        yield rollouts
    finally:
        rollouts.close()
