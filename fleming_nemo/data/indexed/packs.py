"""The packing plan that is stored with a corpus: which documents make up each pack.

Best fit decreasing (Johnson 1973): the longest document first, each into the fullest pack that has room for it.  Done
window by window, so that memory does not grow with the corpus; what a window wastes is one pack at most half empty.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from pathlib import Path
from typing import Any

import numpy as np

DOCUMENTS = "packs_documents.npy"
"""Numbers of the documents, pack after pack."""
STARTS = "packs_starts.npy"
"""Where in that list each pack starts, and its end."""
WINDOW = 1 << 17


def best_fit(lengths: np.ndarray, budget: int) -> np.ndarray:
    """Number of the pack of each document, as few packs as best fit decreasing makes them.

    Args:
        lengths: tokens of each document, none above `budget`.

    Raises:
        ValueError: a document is longer than the budget; none is ever cut.
    """
    if len(lengths) and lengths.max() > budget:
        raise ValueError(f"a document of {lengths.max()} tokens does not fit into packs of {budget}")
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    chosen = np.empty(len(lengths), np.int64)
    rooms: list[int] = []  # distinct numbers of tokens that are left in some pack, ascending
    with_room: dict[int, list[int]] = {}
    count = 0
    picks = []
    for length in lengths[order].tolist():
        at = bisect_left(rooms, length)
        if at == len(rooms):
            pack, left = count, budget - length
            count += 1
        else:
            room = rooms[at]
            pack = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[at]
            left = room - length
        picks.append(pack)
        if left:
            if left not in with_room:
                insort(rooms, left)
                with_room[left] = []
            with_room[left].append(pack)
    chosen[order] = picks
    return chosen


def write(folder: Path, lengths: np.ndarray, budget: int) -> dict[str, Any]:
    """Plan packs of at most `budget` tokens and write them; returns what the manifest says about it.

    Packs stand in the order of their first documents, and so do the documents of each: without shuffling, a corpus is
    still read from front to back, window by window.
    """
    documents = np.lib.format.open_memmap(folder / DOCUMENTS, "w+", np.dtype("<i4"), (len(lengths),))
    starts = [np.zeros(1, np.int64)]
    for first in range(0, len(lengths), WINDOW):
        window = np.asarray(lengths[first : first + WINDOW])
        chosen = best_fit(window, budget)
        # packs by their first document
        _, first_of, chosen = np.unique(chosen, return_index=True, return_inverse=True)
        rank = np.empty(len(first_of), np.int64)
        rank[np.argsort(first_of)] = np.arange(len(first_of))
        chosen = rank[chosen]
        documents[first : first + len(window)] = first + np.argsort(chosen, kind="stable")
        starts.append(first + np.cumsum(np.bincount(chosen)))
    documents.flush()
    np.save(folder / STARTS, np.concatenate(starts).astype("<i8"))
    count = sum(map(len, starts)) - 1
    tokens = int(lengths.sum(dtype=np.int64))
    return {"tokens": budget, "packs": count, "fill": round(tokens / (count * budget), 6)}


class Packs:
    """A stored plan, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self._documents = np.asarray(np.load(folder / DOCUMENTS, mmap_mode="r"))
        self._starts = np.asarray(np.load(folder / STARTS, mmap_mode="r"))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, pack: int) -> np.ndarray:
        """Numbers of the documents of a pack."""
        return self._documents[self._starts[pack] : self._starts[pack + 1]]
