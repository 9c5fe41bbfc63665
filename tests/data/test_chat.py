"""The one chat renderer, against the text that Qwen's own template makes."""

from dataclasses import replace

from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import QAItem

ITEM = QAItem(
    id="1",
    question="Which vitamin prevents scurvy?",
    options=("Vitamin A", "Vitamin C"),
    answer=1,
    context=None,
    source="made-up",
    language="en",
    split="sft",
    difficulty=None,
    provenance={},
)


def test_prompt():
    assert render_prompt(ITEM) == (
        "<|im_start|>user\nWhich vitamin prevents scurvy?\nA) Vitamin A\nB) Vitamin C<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_prompt_with_system_turn_and_context():
    text = render_prompt(replace(ITEM, context="A sailor bleeds."), system="Answer briefly.")
    assert text.startswith(
        "<|im_start|>system\nAnswer briefly.<|im_end|>\n<|im_start|>user\nA sailor bleeds.\n\nWhich vitamin"
    )


def test_open_ended_prompt_has_no_options():
    assert render_prompt(replace(ITEM, options=(), answer="C")).startswith(
        "<|im_start|>user\nWhich vitamin prevents scurvy?<|im_end|>\n"
    )


def test_response():
    assert render_response("Scurvy is lack of C.", "B") == (
        "<think>\nScurvy is lack of C.\n</think>\n\n<answer>B</answer><|im_end|>"
    )
