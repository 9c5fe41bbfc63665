"""The network's last layer, held back: training takes hidden states and spells out the vocabulary piece by piece.

Logits of a long batch over 151,936 tokens are the largest tensor of a step by far.  `training.logprobs` computes from
hidden states what an objective needs of them; generation and export go on to get logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from fleming_nemo.parallel import groups  # noqa: F401  first: it switches the CPU backend on

from megatron.core.tensor_parallel import ColumnParallelLinear  # isort: skip


class Head(ColumnParallelLinear):
    """megatron-core's output layer, which can be told to hand through what it is given.

    GPTModel has no public door for its last hidden states.  The layer stays in the model and is called by it, so that
    parameter names, tied embeddings and the gathering of parameters before their use remain as they are.

    Attributes:
        held_back: hand the hidden states [s, b, h] through, as they come (cut along s under sequence parallelism).
    """

    held_back = False
    _used: tuple[Tensor]  # a bare parameter would become one of this module's own, and be saved twice

    @property
    def weight_VH(self) -> Tensor:
        """The weight of the latest call: of this layer, or of the embedding that it is tied to."""
        return self._used[0]

    def forward(
        self, input_: Tensor, weight: Tensor | None = None, runtime_gather_output: bool | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if not self.held_back:
            return super().forward(input_, weight, runtime_gather_output)
        self._used = (self.weight if weight is None else weight,)
        return input_, None


def install(network: Any) -> None:
    """Make the output layer of a GPTModel a `Head`; chunks without one stay as they are."""
    layer = getattr(network, "output_layer", None)
    if layer is not None:
        layer.__class__ = Head  # the same module, its weights and hooks included


@contextmanager
def held_back(networks: list[Any]) -> Iterator[Head | None]:
    """The model chunks return hidden states [b, s, h] instead of logits; gives the head, if this rank has it."""
    head = getattr(networks[-1], "output_layer", None)
    if head is None:
        yield None
        return
    head.held_back = True
    try:
        yield head
    finally:
        head.held_back = False
