"""What goes into a rollout engine and what comes out: token ids, never text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Request:
    """One response to sample.

    Attributes:
        prompt: token ids.
        seed: the response is a function of the weights, the prompt and this number (see `request_seed`).
    """

    prompt: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Rollout:
    """One sampled response.

    Attributes:
        tokens: token ids, with the end-of-turn token if the policy wrote it.
        logprobs: log-probability of each token under the sampling distribution, fp32 [len(tokens)].
        finished: False if the length limit cut it off.
        seed: seed of the request.
        weight_version: training step whose weights sampled it, or began to.
        last_version: step of the weights that sampled its end, where they changed in between.
    """

    tokens: list[int]
    logprobs: np.ndarray
    finished: bool
    seed: int
    weight_version: int
    last_version: int | None = None

    @property
    def versions(self) -> tuple[int, int]:
        """Steps of the weights that sampled the first and the last token."""
        return self.weight_version, self.weight_version if self.last_version is None else self.last_version


class RolloutEngine(Protocol):
    """Anything that samples responses from the current policy."""

    def generate(
        self, requests: list[Request], temperature: float, max_response: int, weight_version: int
    ) -> list[Rollout]:
        """One rollout for each request, in order; `temperature` 0 is greedy; lengths are in tokens."""
        ...


def request_seed(*parts: object) -> int:
    """A 63-bit seed from whatever names the request (run seed, step, item, sample): stable, and free of collisions."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
