"""What a server's response means: a reply, a refusal of this request, a failure that may pass, the end of the run."""

from __future__ import annotations

import json
import re
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint.account import Bound
from fleming_nemo.endpoint.exchange import NoAnswer, Reply
from fleming_nemo.endpoint.pace import retry_after
from fleming_nemo.endpoint.spec import Endpoint

# What another attempt may repair, besides 5xx; 409 and 425 ask to come again.
_PASSING = frozenset({408, 409, 425, 429})
_SHOWN = 300
# How servers name a filter or a text that is too long, in the code or the message of the error. All of them mean that
# the same request is refused tomorrow too.
_FOR_GOOD = re.compile(
    r"content.?(filter|policy|management)|moderation|safety|responsible.?ai|context.?(length|size|window)"
    r"|too (long|large)|longer than|exceeds? .{0,40}(token|length)",
    re.IGNORECASE | re.DOTALL,
)
_NO_MONEY = re.compile(r"insufficient.?(quota|balance|credit|funds)", re.IGNORECASE)


class Passing(Exception):
    """This attempt failed, another one may not.

    Attributes:
        kind: a few words, the same for all failures of a kind.
        wait_s: what the server asks for.
        charged: the server may have done the work and charge for it.
    """

    def __init__(self, kind: str, detail: str = "", wait_s: float | None = None, charged: bool = False) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.wait_s, self.charged = kind, wait_s, charged


def read_response(endpoint: Endpoint, status: int, wait: str | None, raw: bytes, most: Bound) -> Reply:
    """The Reply of a response; `wait` is its Retry-After header, `most` stands in for usage that it does not report.

    Raises Passing, NoAnswer (this request only) or UserError (the run).
    """
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        tree = None
    error = tree.get("error") if isinstance(tree, dict) else None
    if 200 <= status < 300 and not error:
        return _reply(endpoint, tree, most)
    said = endpoint.key.scrub(_said(error, tree, raw))
    if 200 <= status < 300:
        code = error.get("code") if isinstance(error, dict) else None
        if not (isinstance(code, int) and 400 <= code < 600):
            raise Passing("an error object", said[:_SHOWN])
        status = code
    return _refused(endpoint, status, said, retry_after(wait))


def _refused(endpoint: Endpoint, status: int, said: str, wait_s: float | None) -> Reply:
    shown = f"HTTP {status}: {' '.join(said.split())[:_SHOWN]}"
    if _NO_MONEY.search(said) or status == 402:
        raise UserError(f"{endpoint.url}: the account is used up ({shown}); finished answers are kept.")
    if status in (400, 403, 413, 422) and (status == 413 or _FOR_GOOD.search(said)):
        return Reply(None, shown)
    if status in _PASSING or (status >= 500 and status != 501):
        raise Passing(f"HTTP {status}", " ".join(said.split())[:_SHOWN], wait_s)
    if status in (401, 403):
        raise UserError(f"{endpoint.url} refuses the key ({shown}); check --key-env or --key-file.")
    if 300 <= status < 400:
        raise UserError(f"{endpoint.url} redirects (HTTP {status}), which is not followed; check --endpoint.")
    if status in (404, 405, 410, 501):
        raise UserError(f"{endpoint.url} knows no such model or path ({shown}); check --endpoint and --model.")
    raise NoAnswer(shown, f"HTTP {status}")


def _reply(endpoint: Endpoint, tree: Any, most: Bound) -> Reply:
    try:
        choice = tree["choices"][0]
        message, finish = choice["message"], str(choice.get("finish_reason") or "stop")
        text, refusal = message.get("content"), message.get("refusal")
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if not isinstance(text, str | None):
            raise TypeError("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Passing("not a chat completion", charged=True) from None
    if finish == "error":
        raise Passing("an error object", charged=True)
    scrub = endpoint.key.scrub_reply
    refused = finish == "content_filter" or (bool(refusal) and not text)
    if refusal and not text:
        finish = f"refusal: {' '.join(str(refusal).split())[:_SHOWN]}"
    usage = tree.get("usage")
    spent = usage if isinstance(usage, dict) else {}
    written = f"{text or ''}{reasoning or ''}".encode("utf-8", "surrogatepass")
    # Thoughts without an answer are an empty answer, and one that was paid for.
    return Reply(
        text=None if refused else scrub(text or ""),
        finish=scrub(finish),
        reasoning=scrub(reasoning) if isinstance(reasoning, str) else None,
        prompt_tokens=_count(spent.get("prompt_tokens"), most.prompt_tokens),
        completion_tokens=_count(spent.get("completion_tokens"), min(len(written), most.completion_tokens)),
    )


def _count(value: Any, otherwise: int) -> int:
    return value if type(value) is int and value >= 0 else otherwise


def _said(error: Any, tree: Any, raw: bytes) -> str:
    """The message of an error with its code and type, in whatever form servers put them."""
    if isinstance(error, dict):
        return " ".join(str(error[name]) for name in ("code", "type", "message") if error.get(name))
    if isinstance(error, str):
        return error
    for name in ("message", "detail"):
        if isinstance(tree, dict) and tree.get(name):
            return str(tree[name])
    return raw.decode("utf-8", "replace")
