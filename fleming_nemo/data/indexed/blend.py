"""Several corpora as one, by weight: a directory that only names them.

A weight is a share of the samples (documents, or packs where the corpora have packing plans), not of the tokens.  An
epoch of the blend is as long as it takes to see the whole of the corpus that needs the longest (the one with the most
samples for its weight) exactly once; the others are begun again within it.  Every corpus keeps an endless stream of its
own, which runs on from epoch to epoch, so no sample of it is seen twice before all have been seen once.
"""

from __future__ import annotations

import os
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256, write_json
from fleming_nemo.data.indexed import manifest as manifests
from fleming_nemo.data.indexed.manifest import FORMAT, MANIFEST
from fleming_nemo.data.indexed.reader import Corpus
from fleming_nemo.data.order import take
from fleming_nemo.data.tokenizer import ChatTokenizer


def is_blend(manifest: dict[str, Any]) -> bool:
    return "blend" in manifest


def write(folder: Path, weights: dict[Path, float]) -> dict[str, Any]:
    """Describe the blend of these corpora in `folder`; returns its manifest.

    The corpora are named relative to `folder`, and by the hash of their manifests, so that none can change unnoticed.
    """
    if len(weights) < 2 or any(not weight > 0 or weight == float("inf") for weight in weights.values()):
        raise UserError("a blend needs two corpora or more, each with a weight above 0; give --blend A=0.7 B=0.3")
    parts = [manifests.read(corpus) for corpus in weights]
    for corpus, part in zip(weights, parts, strict=True):
        if is_blend(part):
            raise UserError(f"{corpus} is a blend itself; name its corpora with the product of the weights")
        if part["tokenizer_sha256"] != parts[0]["tokenizer_sha256"]:
            raise UserError(f"{corpus} was made with another tokenizer than the other corpora; build it again")
        if _pack(part) != _pack(parts[0]):
            raise UserError(
                f"{corpus} has packs of {_pack(part)} tokens (0: none) and the first corpus of {_pack(parts[0])}; "
                "build all with the same --pack"
            )
    if (folder / MANIFEST).is_file() and not is_blend(manifests.read(folder)):
        raise UserError(f"{folder} holds a corpus; give --out another directory")
    total = sum(weights.values())
    described = [
        {
            "folder": os.path.relpath(corpus, folder),
            "weight": weight / total,
            "manifest_sha256": sha256(corpus / MANIFEST),
        }
        for corpus, weight in weights.items()
    ]
    made = {"format": FORMAT, "tokenizer_sha256": parts[0]["tokenizer_sha256"], "blend": described, "config": {}}
    write_json(folder / MANIFEST, made)
    return made


def _pack(manifest: dict[str, Any]) -> int:
    return manifest["pack"]["tokens"] if manifest["pack"] else 0


def check(folder: Path, tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The manifest of a whole corpus; for a blend, that of all its corpora taken together."""
    manifest = manifests.read(folder)
    if not is_blend(manifest):
        return manifests.check(folder, tokenizer)
    parts = {}
    for entry in manifest["blend"]:
        corpus = folder / entry["folder"]
        parts[entry["folder"]] = manifests.check(corpus, tokenizer)
        if sha256(corpus / MANIFEST) != entry["manifest_sha256"]:
            raise UserError(f"{corpus} was built again after {folder} was made of it; blend the corpora again")
    totals = {name: sum(part[name] for part in parts.values()) for name in ("documents", "tokens", "trained_tokens")}
    return {
        **manifest,
        **totals,
        "longest": max(part["longest"] for part in parts.values()),
        "pack": next(iter(parts.values()))["pack"],
        "files": {f"{name}/{file}": entry for name, part in parts.items() for file, entry in part["files"].items()},
    }


class Blend:
    """What `reader.Corpus` is, of the corpora that a directory names; their documents are numbered one after another.

    Attributes:
        quotas: samples of each corpus in an epoch.
    """

    def __init__(self, folder: Path, tokenizer: ChatTokenizer) -> None:
        self.manifest = check(folder, tokenizer)
        entries = self.manifest["blend"]
        self._parts = [Corpus(folder / entry["folder"], tokenizer) for entry in entries]
        self.quotas = quotas([part.num_samples for part in self._parts], [entry["weight"] for entry in entries])
        self._first_document = np.cumsum([0, *map(len, self._parts)])
        self._first_slot = np.cumsum([0, *self.quotas])
        self._slots = interleave(self.quotas)
        self.lengths = np.concatenate([part.lengths for part in self._parts])
        self.packed = self._parts[0].packed

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_samples(self) -> int:
        """Positions of an epoch."""
        return len(self._slots)

    def samples(self, start: int, count: int, seed: int, shuffle: bool = True) -> list[np.ndarray]:
        """Documents of the samples at positions `start` .. `start + count` of the endless stream."""
        drawn: list[tuple[int, int, int]] = []  # corpus, position in its stream, place in the answer
        for position in range(start, start + count):
            epoch, at = divmod(position, self.num_samples)
            slot = self._slots[at]
            part = int(np.searchsorted(self._first_slot, slot, "right")) - 1
            drawn.append((part, int(slot - self._first_slot[part]) + epoch * self.quotas[part], len(drawn)))
        # of each corpus the drawn positions of its own stream are consecutive
        found: list[np.ndarray] = [np.empty(0, np.int64)] * count
        for part, group in groupby(sorted(drawn), key=itemgetter(0)):
            _, positions, places = zip(*group, strict=True)
            corpus = self._parts[part]
            numbers = take(positions[0], len(positions), corpus.num_samples, seed, shuffle)
            for place, number in zip(places, numbers, strict=True):
                found[place] = corpus.sample(number) + self._first_document[part]
        return found

    def __getitem__(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        part = int(np.searchsorted(self._first_document, document, "right")) - 1
        return self._parts[part][int(document - self._first_document[part])]


def quotas(sizes: list[int], weights: list[float]) -> list[int]:
    """Samples of each corpus in an epoch: all of the one that needs the longest, the others in proportion."""
    total = sum(weights)
    epoch = max(size * total / weight for size, weight in zip(sizes, weights, strict=True))
    return [max(1, round(epoch * weight / total)) for weight in weights]


def interleave(quotas: list[int]) -> np.ndarray:
    """Order of an epoch: the slots (all of the first corpus, all of the second, ...) spread as evenly as can be.

    Sample j of a corpus with quota q comes at time (j + 1/2) / q of the epoch, so every stretch has the corpora's
    shares to within one sample or so.
    """
    times = np.concatenate([(np.arange(quota) + 0.5) / quota for quota in quotas])
    return np.argsort(times, kind="stable")
