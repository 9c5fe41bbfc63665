"""When the next call may go out: rate limits, pauses that the server asks for, growing pauses after failures."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable

LONGEST_PAUSE_S = 60.0
LONGEST_WAIT_S = 900.0
"""A server that asks to come back later than this ends the run, which can be started again then."""
_LOOK_AGAIN_S = 1.0


class Bucket:
    """`per_minute` units, handed out evenly: a token bucket that is one request deep and may go into debt.

    A request goes out as soon as the debt of those before it is paid, in order of arrival. So within any minute at most
    `per_minute` units go out beyond the last request: for requests (1 unit each) that is the limit itself, for tokens
    it is the limit and one request.
    """

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_s = 60.0 / per_minute
        self._clock, self._sleep = clock, sleep
        self._free_at = -math.inf
        self._turn = asyncio.Lock()

    async def take(self, units: float) -> None:
        async with self._turn:
            arrived = self._clock()
            while (wait := self._free_at - self._clock()) > 0:
                await self._sleep(min(wait, _LOOK_AGAIN_S))  # `give_back` may shorten it
            # From the planned moment on, not from a late awakening: timers that are late would lower the rate.
            self._free_at = max(self._free_at, arrived) + units * self._interval_s

    def give_back(self, units: float) -> None:
        """What `take` took too much of."""
        self._free_at -= units * self._interval_s


def growing_pause(first_s: float, failures: int, seed: str) -> float:
    """Seconds before the next attempt after `failures` of them: doubling, between half and all of it by `seed`.

    The jitter keeps requests that failed together from coming back together; the seed makes it repeatable.
    """
    whole = min(first_s * 2 ** (failures - 1), LONGEST_PAUSE_S)
    return whole * random.Random(f"{seed}/{failures}").uniform(0.5, 1.0)


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3: seconds or a date); None when it says neither.

    Fractions of seconds are read too, as some servers send them.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(header)
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError):
        return None
