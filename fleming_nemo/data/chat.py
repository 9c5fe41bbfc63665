"""Qwen ChatML with reasoning: the one renderer for SFT, RL and evaluation."""

from collections.abc import Sequence

from fleming_nemo.data.items import LETTERS, QAItem

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"


def render_prompt(item: QAItem, system: str = "") -> str:
    """Everything up to the point where the assistant starts to write; no system turn when `system` is empty."""
    head = f"{IM_START}system\n{system}{IM_END}\n" if system else ""
    context = f"{item.context}\n\n" if item.context else ""
    options = "".join(f"\n{letter}) {option}" for letter, option in zip(LETTERS, item.options, strict=False))
    return f"{head}{IM_START}user\n{context}{item.question}{options}{IM_END}\n{IM_START}assistant\n"


def render_response(reasoning: str, letter: str) -> str:
    """The assistant turn with its end mark, to be appended to `render_prompt`."""
    return f"<think>\n{reasoning}\n</think>\n\n<answer>{letter}</answer>{IM_END}"


def render_check(options: Sequence[str], answer: int) -> str:
    """Reasoning that goes through the options up to the right one: "Check A) ...; B) ...".

    It turns the choice of a letter into copying and comparing, which a model of a million parameters can do; to find
    the letter that stands before a name elsewhere in the text is more than it learns in an hour.
    """
    listed = zip(LETTERS, options[: answer + 1], strict=False)
    return f"Check {'; '.join(f'{letter}) {option}' for letter, option in listed)}."
