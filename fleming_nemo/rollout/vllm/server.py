"""One server as the trainer sees it."""

from __future__ import annotations

from dataclasses import dataclass

from fleming_nemo.rollout.vllm.address import Address


@dataclass(eq=False)
class Server:
    """Attributes:
    name: `vllm_0`, ...; also that of its log.
    address: where it is now; another port after a restart.
    alive: it is there and answers.
    incarnation: 1 more after each restart: what has restarted holds random weights.
    version: training step of the weights it holds; None before the first transfer, after a restart and after a
        transfer that did not end well.  The transfer sets it.
    outstanding: requests under way on it, of all batches.
    """

    name: str
    address: Address
    alive: bool = True
    incarnation: int = 1
    version: int | None = None
    outstanding: int = 0
