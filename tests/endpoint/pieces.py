"""Pieces of work for these tests: a piece is a number or a word, which is sent as it is."""

from fleming_nemo.endpoint import NoAnswer, Request

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
