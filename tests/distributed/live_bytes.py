"""Counts the memory of tensors that are alive at the same time."""

import weakref
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Largest sum of the storages that tensors held at once while this was active, in bytes.

    Not counted: storages of `known` tensors (the model's own), and pages of mapped files, which the system may drop.
    Every tensor that an operation takes or gives is seen, as a whole storage even where it is a view of a part.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._known = {t.untyped_storage().data_ptr() for t in known}
        self._seen: set[int] = set()
        self._holders: Counter[int] = Counter()
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, out)):
            if isinstance(leaf, Tensor) and id(leaf) not in self._seen:
                self._see(leaf)
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        if not storage.nbytes() or address in self._known or _is_mapped(address):
            return
        self._seen.add(id(tensor))
        self._holders[address] += 1
        self._sizes[address] = storage.nbytes()
        weakref.finalize(tensor, self._forget, id(tensor), address)
        self.peak = max(self.peak, sum(self._sizes.values()))

    def _forget(self, tensor_id: int, address: int) -> None:
        self._seen.discard(tensor_id)
        self._holders[address] -= 1
        if not self._holders[address]:
            del self._sizes[address]


def _is_mapped(address: int) -> bool:
    """Whether the address lies in a safetensors file that is mapped into memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(".safetensors"):
            start, stop = (int(x, 16) for x in line.split()[0].split("-"))
            if start <= address < stop:
                return True
    return False
