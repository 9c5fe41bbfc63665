"""Only what has changed: steps from one changed element to the next, and the new values.

In bf16 an update at the learning rates of reinforcement learning is below the last digit of most weights, so few of
them change in a step.  A step is one byte; where more than 254 elements in a row stay, the element 255 further on is
sent as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .wire import checksum

_LONGEST = 255
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


@dataclass(frozen=True)
class Part:
    """Elements start:stop along `axis` (None: all) of a tensor: what one rank of the trainer holds.

    Attributes:
        count: elements that are sent.
        checksum: of the part's bytes as they have to be afterwards, changed or not.
    """

    name: str
    axis: int | None
    start: int
    stop: int
    count: int
    checksum: int

    def to_json(self) -> list[Any]:
        return [self.name, self.axis, self.start, self.stop, self.count, self.checksum]

    def of(self, tensor: Tensor) -> Tensor:
        return tensor if self.axis is None else tensor.narrow(self.axis, self.start, self.stop - self.start)


def encode(new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Steps [n] of one byte and values [n] that make `new` of `old`, both contiguous and alike. Differences of bits
    count: -0 is not 0, and NaN is itself."""
    bits = _BITS[new.element_size()]
    flat = new.view(-1)
    (changed,) = (flat.view(bits) != old.view(-1).view(bits)).nonzero(as_tuple=True)
    distance = torch.diff(changed, prepend=changed.new_full((1,), -1))
    fillers = (distance - 1) // _LONGEST
    ends = torch.cumsum(fillers + 1, 0) - 1
    steps = torch.full((int(ends[-1]) + 1 if len(ends) else 0,), _LONGEST, dtype=torch.uint8, device=new.device)
    steps[ends] = (distance - _LONGEST * fillers).to(torch.uint8)
    return steps, flat[torch.cumsum(steps.long(), 0) - 1]


def apply(steps: Tensor, values: Tensor, part: Tensor) -> None:
    """Undo `encode`: `part` becomes what was encoded. Raises ValueError where the steps lead out of it."""
    places = torch.cumsum(steps.long(), 0) - 1
    if len(places) and (int(places[-1]) >= part.numel() or int(steps.min()) == 0):
        raise ValueError("the changes do not fit the tensor")
    if part.is_contiguous():
        part.view(-1)[places] = values
    else:
        copy = part.contiguous()
        copy.view(-1)[places] = values
        part.copy_(copy)


class Copy:
    """An engine's own copy of all tensors as the trainer sent them: changes apply to it, and vLLM loads from it.

    vLLM's weights themselves are fused, packed and perhaps quantised.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def keep(self, tensors: Sequence[tuple[str, Tensor]]) -> None:
        for name, tensor in tensors:
            if name in self.tensors:
                self.tensors[name].copy_(tensor)
            else:
                self.tensors[name] = tensor.to("cpu", copy=True)


class Changes:
    """Tensors of an update of changes as they arrive: `N.steps` and `N.values` of part N."""

    def __init__(self, copy: Copy, parts: Sequence[Sequence[Any]]) -> None:
        self._copy = copy
        self._parts = [Part(*fields) for fields in parts]
        self._steps: Tensor | None = None

    def take(self, tensors: Sequence[tuple[str, Tensor]]) -> None:
        for name, tensor in tensors:
            number, kind = name.split(".")
            if kind == "steps":
                self._steps = tensor.to("cpu", copy=True)
            else:
                assert self._steps is not None
                part = self._parts[int(number)]
                apply(self._steps, tensor.cpu(), part.of(self._copy.tensors[part.name]))

    def check(self) -> None:
        """Raises ValueError where the whole is not what the trainer has now."""
        for part in self._parts:
            if checksum(part.of(self._copy.tensors[part.name])) != part.checksum:
                raise ValueError(f"{part.name} is not the trainer's after the changes")
