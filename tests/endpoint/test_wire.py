"""Every response has a meaning: a reply, a refusal, a failure that may pass, the end of the run."""

import json

import pytest
from endpoint.server import completion
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import Endpoint, NoAnswer, Reply
from fleming_nemo.endpoint.account import Bound
from fleming_nemo.endpoint.wire import Passing, read_response

ENDPOINT = Endpoint("http://h/v1", "m")
MOST = Bound(1000, 100, 0.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
# Trees with the names that are looked for, holding anything.
MESSAGES = st.dictionaries(st.sampled_from(["content", "refusal", "reasoning_content", "reasoning"]), JSON)
CHOICES = st.dictionaries(st.sampled_from(["message", "finish_reason"]), JSON | MESSAGES)
USAGE = st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), JSON)
ERRORS = st.dictionaries(st.sampled_from(["code", "type", "message"]), JSON)
TREES = st.fixed_dictionaries(
    {}, optional={"choices": JSON | st.lists(CHOICES | JSON), "usage": JSON | USAGE, "error": JSON | ERRORS}
)


def read(status, body, wait=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_response(ENDPOINT, status, wait, raw, MOST)


@given(st.sampled_from([200, 201, 204, 302, *range(400, 432), 451, 499, *range(500, 530)]), TREES | JSON, st.text())
def test_anything_at_all_is_one_of_these(status, tree, wait):
    try:
        reply = read(status, tree, wait)
    except (Passing, NoAnswer, UserError) as error:
        assert str(error)
    else:
        assert reply.text is None or isinstance(reply.text, str)
        assert isinstance(reply.finish, str) and reply.prompt_tokens >= 0 and reply.completion_tokens >= 0
        assert reply.text is None or status < 300, "only a success has a text"


@given(st.binary())
def test_any_bytes(data):
    with pytest.raises(Passing, match="not a chat completion"):
        read(200, b"\x00" + data)


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"code": "context_length_exceeded", "message": "x"}},
        {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you", "code": 400},
        {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."},
        {"error": "the request exceeds the available context size, try increasing it"},
        {"detail": "prompt is too long: 5000 tokens"},
        {"error": {"code": "content_filter", "message": "x"}},
        {"error": {"message": "The response was filtered due to the content management policy."}},
        {"error": {"type": "invalid_request_error", "code": "content_policy_violation"}},
        {"error": {"code": 403, "message": "Your input was flagged by moderation"}},
    ],
)
def test_refusals_for_good_in_the_words_of_several_servers(said):
    for status in (400, 403, 422):
        reply = read(status, said)
        assert reply.text is None and reply.finish.startswith(f"HTTP {status}: ")
        assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)
    assert read(413, "").text is None


def test_other_refusals_are_no_answer_and_not_for_good():
    for status in (400, 422, 406, 451):
        with pytest.raises(NoAnswer, match=f"HTTP {status}: Unsupported parameter") as caught:
            read(status, {"error": {"message": "Unsupported parameter: max_tokens"}})
        assert caught.value.kind == f"HTTP {status}"


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529])
def test_passing(status):
    with pytest.raises(Passing, match=f"HTTP {status}: busy") as caught:
        read(status, b"busy\n", "17")
    assert caught.value.wait_s == 17 and not caught.value.charged


def test_garbage_may_have_been_charged():
    with pytest.raises(Passing) as caught:
        read(200, b"{")
    assert caught.value.charged


def test_a_long_message_is_cut():
    with pytest.raises(Passing) as caught:
        read(500, ("x" * 5000 + "\n").encode())
    assert len(str(caught.value)) < 400


def test_replies():
    assert read(200, completion("yes", "length", 7, 3)) == Reply("yes", "length", None, 7, 3)
    assert read(200, completion("yes", reasoning="why")).reasoning == "why"
    assert read(200, completion("part", finish="content_filter")).text is None
    assert read(200, completion("text", refusal="and a word")).text == "text"
    tree = completion("12345")
    del tree["usage"]
    tree["choices"][0]["finish_reason"] = None
    assert read(200, tree) == Reply("12345", "stop", None, 1000, 5)
    with pytest.raises(Passing, match="an error object"):
        read(200, completion("half", finish="error"))
