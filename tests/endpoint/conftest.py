"""Endpoints of these tests: impatient, and asked by pieces of work that are numbers."""

import pytest

from fleming_nemo.endpoint import Budget, Endpoint, Key, NoAnswer, Panel, Request, serve

KEY = "sk-0123456789-secret-of-these-tests"


def request(number, **changes):
    return Request(({"role": "user", "content": str(number)},), **{"max_tokens": 100, **changes})


async def one(client, number):
    """The reply's text, or why there is none."""
    try:
        reply = await client.ask(request(number))
    except NoAnswer as failure:
        return f"rejected: {failure.kind}"
    return f"rejected: {reply.finish}" if reply.text is None else reply.text


@pytest.fixture
def ask_all(tmp_path):
    """`ask_all(server, work, **fields of Endpoint)` -> (results, panel)."""

    def asked(server, work, budget=None, one=one, folder=tmp_path / "answers", **changes):
        values = {"concurrency": 4, "timeout_s": 5, "attempts": 4, "pause_s": 0.01, "key": Key(KEY), **changes}
        panel = Panel()
        with panel:
            endpoint = Endpoint(server if isinstance(server, str) else server.url, "tiny", **values)
            return list(serve(endpoint, folder, budget or Budget(), work, one, panel)), panel

    return asked
