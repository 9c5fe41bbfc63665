"""One worker's side of transfers: which weights it holds, and how it comes to hold others.  Knows nothing of vLLM.

A worker holds the weights of a version, or none: from the first change to the model until the whole of an update has
been verified it holds none, so that a transfer that breaks off never leaves half of it in use unnoticed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from . import wire
from .buckets import Incoming, Leases, shared_buffers
from .channel import Channel, Meeting
from .delta import Changes, Copy

Load = Callable[[list[tuple[str, Tensor]]], None]


class Model(Protocol):
    """What an engine has to do around a transfer."""

    def start(self) -> None:
        """Prepare the model for new weights."""

    def transfer(self, update: dict[str, Any]) -> None:
        """Call `Receiver.receive`, perhaps through other layers."""

    def finish(self) -> None:
        """All tensors were given to the model."""

    def undo(self) -> None:
        """Something failed after `start`: leave the model such that another update can start."""


class Receiver:
    """Attributes:
    held: version of the weights in the model; None where they are nobody's.
    digest: of the last update that arrived whole.
    """

    def __init__(self, device: torch.device) -> None:
        self.held: int | None = None
        self.digest = 0
        self._update: dict[str, Any] = {}
        self._plan: wire.Plan | None = None
        self._copy: Copy | None = None
        self._device = device
        self._channel: Channel | None = None
        self._shared: list[Tensor] = []
        self._leases: Leases | None = None

    def join(self, meeting: Meeting, rank: int) -> None:
        """Leave the group that this worker was in and join another."""
        self.leave()
        self._channel = Channel(meeting, rank, self._device)
        self._shared = shared_buffers(meeting.shared)
        self._leases = self._leases or Leases(self._channel.device)

    def leave(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel, self._shared = None, []

    def take(self, update: dict[str, Any], model: Model) -> dict[str, Any]:
        """A whole update; it never raises.

        Returns:
            `held`, the version in the model now; `digest`; and `error`, None if all went well.
        """
        try:
            self._plan, self._update = self._prepare(update), update
        except Exception as error:
            return self.report(error)
        try:
            model.start()
            model.transfer(update)
            model.finish()
        except Exception as error:
            self.held = self._copy = None
            with contextlib.suppress(Exception):
                model.undo()
            return self.report(error)
        self.held = update["to"]
        return self.report()

    def receive(self, load: Load) -> None:
        """Receive all buckets and hand the tensors to `load`.

        Raises:
            RuntimeError: something arrived damaged or `load` failed (after all has been received), or the group broke.
        """
        assert self._channel is not None and self._leases is not None and self._plan is not None
        self.held = None
        plan, changes = self._plan, None
        if "parts" in self._update:
            assert self._copy is not None
            changes = Changes(self._copy, self._update["parts"])
        elif self._update["keep"]:
            self._copy = self._copy or Copy()
        else:
            self._copy = None
        incoming = Incoming(self._channel, plan, self._shared, self._leases)
        for tensors in incoming:
            try:
                if changes is not None:
                    changes.take(tensors)
                else:
                    load(tensors)
                    if self._copy is not None:
                        self._copy.keep(tensors)
            except Exception as error:
                incoming.drain(f"{type(error).__name__}: {error}")
            del tensors
        if incoming.problem is not None:
            raise RuntimeError(incoming.problem)
        if changes is not None and self._copy is not None:
            changes.check()
            load(list(self._copy.tensors.items()))
        self.digest = incoming.digest

    def report(self, error: Exception | None = None) -> dict[str, Any]:
        """As `take` returns it."""
        told = None if error is None else f"{type(error).__name__}: {error}"
        return {"held": self.held, "digest": self.digest, "error": told}

    def _prepare(self, update: dict[str, Any]) -> wire.Plan:
        """Agree with all ranks to begin; nothing has been changed yet.

        Raises:
            ValueError: this worker cannot take the update.
            RuntimeError: another rank cannot, or the group is broken.
        """
        if self._channel is None:
            raise RuntimeError("no group was joined for transfers")
        try:
            plan = self._check(update)
        except ValueError:
            self._channel.agree(False)
            raise
        if not self._channel.agree(True):
            raise RuntimeError("another rank refused the update")
        return plan

    def _check(self, update: dict[str, Any]) -> wire.Plan:
        known, to = update["from"], update["to"]
        if known is not None and known != self.held:
            raise ValueError(f"the trainer takes this engine to hold version {known}, and it holds {self.held}")
        if "parts" in update and (known is None or self._copy is None):
            raise ValueError("this engine has no copy of weights that changes could apply to")
        if not isinstance(to, int):
            raise ValueError(f"{to!r} is no version of weights")
        return wire.from_announcement(update)
