"""Choose the questions worth reading: the same question answered by every stage, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleming_nemo.report.run_files import Row, StageFiles
from fleming_nemo.reward.verify import Outcome

_TIER_RANK = {"difficult": 0, "moderate": 1, "easy": 2}
_MAX_CHARS = 6000


@dataclass(frozen=True)
class Response:
    """One stage's answer, split before the answer tag; the middle of a very long text is left out."""

    tone: str
    title: str
    outcome: str
    thinking: str
    answer: str
    left_out: int


@dataclass(frozen=True)
class Question:
    """A question with one response per stage, in stage order."""

    item_id: str
    question: str
    options: list[str]
    letter: str
    difficulty: str | None
    responses: list[Response]


@dataclass(frozen=True)
class Group:
    """Questions that share a history; `total` counts all of them, `questions` are the ones shown."""

    title: str
    total: int
    questions: list[Question] = field(default_factory=list)


def pick_questions(stages: Sequence[StageFiles]) -> list[Group]:
    """Questions that all given stages answered, by history: learned, lost, never right, right from the start.

    Within a group difficult questions come first, and those that took longest to learn.
    """
    stages = [stage for stage in stages if stage.samples]
    if not stages:
        return []
    answered = [{str(row["item_id"]): row for row in stage.samples} for stage in stages]
    histories = {
        item_id: [rows[item_id]["outcome"] == Outcome.CORRECT for rows in answered]
        for item_id in answered[0]
        if all(item_id in rows for rows in answered)
    }
    learned = [item for item, right in histories.items() if right[-1] and not right[0]]
    lost = [item for item, right in histories.items() if not right[-1] and any(right)]
    never = [item for item, right in histories.items() if not any(right)]
    always = [item for item, right in histories.items() if right[-1] and right[0]]

    def interest(item_id: str) -> tuple[int, int, str]:
        row = answered[0][item_id]
        return _TIER_RANK.get(str(row.get("difficulty")), 3), sum(histories[item_id]), item_id

    alone = len(stages) == 1
    groups = []
    for title, members, limit in (
        ("Wrong at first, right at the end", learned, 5),
        ("Right at some point, wrong at the end", lost, 2),
        ("Wrong" if alone else "Never right", never, 3),
        ("Right" if alone else "Right from the start", always, 3 if alone else 1),
    ):
        chosen = sorted(members, key=interest)[:limit]
        if chosen:
            questions = [_question(stages, [rows[item_id] for rows in answered]) for item_id in chosen]
            groups.append(Group(title, len(members), questions))
    return groups


def split_response(text: str) -> tuple[str, str, int]:
    """Thinking, answer and the number of characters left out of the middle of an over-long thinking."""
    cut = text.rfind("<answer>")
    thinking, answer = (text, "") if cut < 0 else (text[:cut], text[cut:])
    left_out = max(0, len(thinking) - _MAX_CHARS)
    if left_out:
        half = _MAX_CHARS // 2
        thinking = f"{thinking[:half]}\n[ ... {left_out} characters left out ... ]\n{thinking[-half:]}"
    return thinking.strip(), answer[:_MAX_CHARS].strip(), left_out


def _question(stages: Sequence[StageFiles], rows: Sequence[Row]) -> Question:
    responses = [
        Response(stage.tone, stage.title, str(row["outcome"]), *split_response(str(row["response"])))
        for stage, row in zip(stages, rows, strict=True)
    ]
    first = rows[0]
    return Question(
        item_id=str(first["item_id"]),
        question=str(first["question"]),
        options=[str(option) for option in first.get("options", [])],
        letter=str(first["letter"]),
        difficulty=first.get("difficulty"),
        responses=responses,
    )
