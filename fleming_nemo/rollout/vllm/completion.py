"""One response over vLLM's /v1/completions: what is asked, and what counts as an answer.

Token ids go in and come out; text is never made into tokens again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleming_nemo.rollout.types import Request
from fleming_nemo.rollout.vllm.settings import MODEL_NAME

PATH = "/v1/completions"
_ABOVE_ZERO = 1e-3
"""Rounding may lift the logarithm of a probability of 1 a little above 0."""


class BadReply(Exception):
    """A reply that is no answer to the request, and what is wrong with it."""


class Aborted(Exception):
    """The server stopped the request (a pause for new weights in mode `abort`): it is asked anew."""


@dataclass(frozen=True)
class Asking:
    """What all requests of an engine have in common.

    Attributes:
        num_tokens: ids that the tokenizer can decode.
        stop_ids: a response ends with the first of these; the model's own end tokens count for nothing.
        stop: texts that end a response as well; the tokens that hold them are part of it.
    """

    num_tokens: int
    stop_ids: frozenset[int]
    stop: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Token ids, their log-probabilities fp32 under the sampling distribution, and whether it ended by itself."""

    tokens: list[int]
    logprobs: np.ndarray
    finished: bool


def body(asking: Asking, request: Request, temperature: float, max_response: int) -> dict[str, Any]:
    """The request as JSON; `temperature` 0 is greedy."""
    return {
        "model": MODEL_NAME,
        "prompt": list(request.prompt),
        "max_tokens": max_response,
        "temperature": temperature,
        "seed": request.seed,
        "logprobs": 0,  # that of the sampled token alone
        "return_token_ids": True,
        "stop_token_ids": sorted(asking.stop_ids),
        "stop": list(asking.stop),
        "include_stop_str_in_output": True,
        "ignore_eos": True,
        "skip_special_tokens": False,
        "add_special_tokens": False,
    }


def read(asking: Asking, request: Request, max_response: int, reply: Any) -> Answer:
    """The answer in a reply, all of it checked.

    Raises:
        BadReply: anything is missing, of the wrong length, out of range or not finite.
        Aborted: see there.
    """
    try:
        (choice,) = reply["choices"]
        tokens, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
        reason, prompt = choice["finish_reason"], choice["prompt_token_ids"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadReply(f"no completion with token ids and log-probabilities ({type(error).__name__})") from None
    if reason == "abort":
        raise Aborted
    if prompt != list(request.prompt):
        raise BadReply("the answer to another prompt")
    _check_tokens(tokens, asking, max_response)
    if not isinstance(logprobs, list) or len(logprobs) != len(tokens):
        raise BadReply("another number of log-probabilities than of tokens")
    if not all(isinstance(x, float | int) and math.isfinite(x) and x < _ABOVE_ZERO for x in logprobs):
        raise BadReply("log-probabilities that are none")
    finished = _ended(reason, choice.get("stop_reason"), tokens, asking, max_response)
    return Answer(tokens, np.array(logprobs, np.float32), finished)


def _check_tokens(tokens: Any, asking: Asking, max_response: int) -> None:
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= max_response:
        raise BadReply(f"not between 1 and {max_response} tokens")
    if not all(type(token) is int and 0 <= token < asking.num_tokens for token in tokens):
        raise BadReply(f"tokens outside 0..{asking.num_tokens - 1}")
    if not asking.stop_ids.isdisjoint(tokens[:-1]):
        raise BadReply("it went on after the end of the turn")


def _ended(reason: Any, stop_reason: Any, tokens: Sequence[int], asking: Asking, max_response: int) -> bool:
    """Whether it ended by itself, where what the server says of it fits its tokens."""
    by_token, by_text = tokens[-1] in asking.stop_ids, stop_reason in asking.stop
    if reason == "stop" and (by_token or by_text):
        return True
    if reason == "length" and len(tokens) == max_response and not by_token:
        return False
    raise BadReply(f"finish_reason {reason!r} after {len(tokens)} tokens does not fit them")
