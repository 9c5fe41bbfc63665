"""The rollout bank: finished rollouts are on disk before anything else happens to them.

    bank/step_12/0003-0.rollouts     the groups of one wave of decoding, of one data-parallel replica

A wave is written under a temporary name, synced and renamed, and ends with a checksum: after a crash it is there whole
or not at all.  What may be used again follows from the checkpoint that the run resumes from:

    steps the checkpoint contains     trained on already; forgotten
    later steps                       used once, if the policy that resumes is the one that drew them (`lineage`)

The same files, kept, are the record that another run trains from (`rollout.record`) without an engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sync
from fleming_nemo.rollout.types import Rollout

FOLDER = "bank"
_SUFFIX = ".rollouts"
_SUM_BYTES = 4

Groups = dict[int, tuple[str, list[Rollout]]]
"""Number of a question within its step -> (item id, its rollouts)."""


class Damaged(Exception):
    """A file of the bank is not what was written."""


def lineage(before: str, *facts: float | str) -> str:
    """What tells one policy from another: a chain over what every step computed, to the last bit.

    Two runs whose steps gave the same losses and gradient norms, from the same start, have the same weights.
    """
    told = [fact.hex() if isinstance(fact, float) else fact for fact in facts]
    return hashlib.sha256("\x1f".join([before, *told]).encode()).hexdigest()[:32]


class Bank:
    """The bank of one run.

    Args:
        folder: `RUN/bank`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, step: int, policy: str, groups: Mapping[int, tuple[str, list[Rollout]]]) -> None:
        """Keep the rollouts of some questions of a step (from 0); they are on disk when this returns.

        Args:
            policy: `lineage` of the weights that drew them.
        """
        place = self._of_step(step)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{min(groups):06d}-{len(groups)}{_SUFFIX}"
        content = _encoded(policy, groups)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with open(temporary, "wb") as out:
            out.write(content)
            out.write(zlib.crc32(content).to_bytes(_SUM_BYTES, "little"))
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
        sync(place)

    def of_step(self, step: int, *policies: str) -> Groups:
        """The groups that these policies drew for a step; those of others and damaged files count as not there."""
        found: Groups = {}
        for path in sorted(self._of_step(step).glob(f"*{_SUFFIX}")):
            try:
                drawn_by, groups = _decoded(path)
            except Damaged:
                continue
            if drawn_by in policies:
                found |= groups
        return found

    def recorded(self, step: int) -> Groups:
        """All groups of a step, whichever policy drew them.

        Raises:
            UserError: there are none, or a file is damaged.
        """
        found: Groups = {}
        for path in sorted(self._of_step(step).glob(f"*{_SUFFIX}")):
            try:
                found |= _decoded(path)[1]
            except Damaged as error:
                raise UserError(f"{path}: {error}; record the run again with rollout.record=keep") from error
        if not found:
            raise UserError(
                f"{self.folder} holds no rollouts of step {step + 1}; rollout.record names a run directory whose run "
                "had rollout.record=keep and at least as many steps"
            )
        return found

    def forget(self, steps: int) -> None:
        """Drop what the first `steps` steps were trained on: a checkpoint contains it."""
        for place in self.folder.glob("step_*"):
            number = place.name.removeprefix("step_")
            if number.isdigit() and int(number) < steps:
                shutil.rmtree(place, ignore_errors=True)

    def _of_step(self, step: int) -> Path:
        return self.folder / f"step_{step}"


def _encoded(policy: str, groups: Mapping[int, tuple[str, list[Rollout]]]) -> bytes:
    head: list[dict[str, Any]] = []
    tokens: list[int] = []
    logprobs = []
    for number, (item, rollouts) in groups.items():
        rows = [[r.seed, len(r.tokens), r.finished, r.weight_version, r.last_version] for r in rollouts]
        head.append({"number": number, "item": item, "rollouts": rows})
        for rollout in rollouts:
            tokens += rollout.tokens
            logprobs.append(rollout.logprobs)
    out = io.BytesIO()
    np.savez(
        out,
        head=np.frombuffer(json.dumps({"policy": policy, "groups": head}).encode(), np.uint8),
        tokens=np.array(tokens, np.int32),
        logprobs=np.concatenate([np.empty(0, np.float32), *logprobs]).astype(np.float32),
    )
    return out.getvalue()


def _decoded(path: Path) -> tuple[str, Groups]:
    raw = path.read_bytes()
    content, told = raw[:-_SUM_BYTES], raw[-_SUM_BYTES:]
    if len(raw) <= _SUM_BYTES or zlib.crc32(content) != int.from_bytes(told, "little"):
        raise Damaged("its checksum is wrong")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        head = json.loads(arrays["head"].tobytes())
        tokens, logprobs = arrays["tokens"], arrays["logprobs"]
    at = 0
    groups: Groups = {}
    for row in head["groups"]:
        rollouts = []
        for seed, length, finished, version, *last in row["rollouts"]:
            part = slice(at, at + length)
            rollouts.append(Rollout(tokens[part].tolist(), logprobs[part].copy(), finished, seed, version, *last))
            at += length
        groups[row["number"]] = (row["item"], rollouts)
    return head["policy"], groups
