"""The rollout engine over a pool of vLLM servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.server import Server


class ServersGone(UserError):
    """No server is left, and the restarts that are allowed have been used."""


class NeedsWeights(Exception):
    """No server holds the weights asked for; `servers` live and want them."""

    def __init__(self, servers: list[Server]) -> None:
        super().__init__(f"{', '.join(s.name for s in servers)} hold other weights than asked for")
        self.servers = servers


class VLLMEngine:
    """Samples responses on the servers of a pool; coroutines of the pool's loop, several batches at a time.

    Args:
        num_tokens: ids that the tokenizer can decode.
        stop_ids: a response ends with the first of these.
        stop: it also ends where its text holds one of these; the text's tokens are part of it.
        push: gives servers the present weights, after a restart in mid-batch; None = `NeedsWeights` where none is left.
        staleness: how many steps older than asked for the weights of a server may be.
        progress: called with the number of finished responses.
    """

    def __init__(
        self,
        pool: Pool,
        num_tokens: int,
        stop_ids: Collection[int],
        stop: Sequence[str] = ("</answer>",),
        push: Callable[[list[Server]], Awaitable[None]] | None = None,
        staleness: int = 0,
        progress: Callable[[int], None] = lambda finished: None,
    ) -> None:
        raise NotImplementedError

    async def generate(
        self,
        requests: Sequence[Request],
        temperature: float,
        max_response: int,
        weight_version: int,
        finished: Callable[[int, Rollout], None] = lambda index, rollout: None,
    ) -> list[Rollout]:
        """See `RolloutEngine.generate`; `finished` hears of every rollout once, by its request's index, as it comes.

        Raises:
            ServersGone: all servers are dead and may not be restarted once more.
            NeedsWeights: servers live, none has the weights, and there is no `push`.
            UserError: a request that no server accepts, or replies that are never right.
        """
        raise NotImplementedError
