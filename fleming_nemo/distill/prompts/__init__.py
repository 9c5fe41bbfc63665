"""What is asked of a model: one template a file, `<purpose>.<language>.txt`, filled in here."""

from functools import cache
from importlib.resources import files

from fleming_nemo.data.items import LETTERS, QAItem

FAULTS = {
    "en": {
        "answer": "Its answer is not the right one.",
        "format": "It does not keep to the form, or breaks off.",
        "length": "It is too short or too long to teach anything.",
        "language": "It is not written in the language of the question.",
        "repetition": "It repeats itself.",
        "leak": "It sounds as if the outcome had been known before the reasoning began.",
        "graph": "One of its statements contradicts the medical record.",
        "faithfulness": "With its conclusion removed, the reasoning does not lead to the answer: evidence is missing.",
    },
    "zh": {
        "answer": "其答案不正确。",
        "format": "未遵守格式，或中途中断。",
        "length": "篇幅过短或过长，没有教学价值。",
        "language": "没有使用题目的语言。",
        "repetition": "内容重复。",
        "leak": "读起来像是在推理之前就知道结果。",
        "graph": "其中有陈述与医学记录矛盾。",
        "faithfulness": "去掉结论后，推理并不导向答案：缺少依据。",
    },
}


def filled(purpose: str, item: QAItem, **slots: str) -> str:
    """The template of a purpose in the item's language (English where there is none), with the question in it."""
    return _template(purpose, language(item)).format(question=question(item), **slots)


def question(item: QAItem) -> str:
    """Context, question and options, without a word on the answer."""
    options = "".join(f"\n{letter}) {option}" for letter, option in zip(LETTERS, item.options, strict=False))
    return f"{item.context}\n\n{item.question}{options}" if item.context else f"{item.question}{options}"


def language(item: QAItem) -> str:
    return "zh" if item.language == "zh" else "en"


@cache
def _template(purpose: str, language: str) -> str:
    return (files(__package__) / f"{purpose}.{language}.txt").read_text(encoding="utf-8").strip()
