"""Accuracy with honest intervals, when every question is answered under several sampling seeds.

Answers to one question are correlated, so the question is the unit of resampling: S seeds over Q questions count as Q
observations, each the mean over its seeds (a clustered bootstrap). One seed has no clusters, and there the Wilson score
interval is used, which stays inside [0, 1] and keeps a width at 0 % and 100 %.

Array legend: Q questions, S sampling seeds; `right_QS` holds 1 where the answer is right and 0 elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fleming_nemo.reward.verify import Outcome

_Z95 = 1.959963984540054
TIERS = ("easy", "moderate", "difficult")


class OutcomeRow(TypedDict):
    """One answer to one question. `seed` is None for greedy decoding, `length` counts response tokens."""

    item_id: str
    seed: int | None
    outcome: Outcome
    num_options: int
    difficulty: str | None
    length: int


@dataclass(frozen=True)
class Difference:
    """Accuracy after minus accuracy before, on the same questions, with its 95 % interval."""

    mean: float
    ci95: tuple[float, float]


def wilson_interval(num_right: float, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share `num_right` / `n` (Wilson, JASA 1927); half a question may be right."""
    if not 0 <= num_right <= n or n == 0:
        raise ValueError(f"a share needs 0 <= right <= n and n > 0, not {num_right} of {n}")
    share = num_right / n
    spread = _Z95 * np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n**2))
    centre = share + _Z95**2 / (2 * n)
    scale = 1 + _Z95**2 / n
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def accuracy_interval(right_QS: ArrayLike, resamples: int = 10_000) -> tuple[float, float]:
    """The 95 % interval of the mean of `right_QS`: Wilson for one seed, a bootstrap over questions for several.

    Where all questions score alike, as when every answer is right, resampling sees no spread at all; the Wilson
    interval over the Q questions is given instead.
    """
    right_QS = _grid(right_QS)
    num_questions, num_seeds = right_QS.shape
    total_Q = right_QS.sum(axis=1)
    if num_seeds == 1 or np.ptp(total_Q) == 0:
        return wilson_interval(int(total_Q.sum()) / num_seeds, num_questions)
    low, high = _bootstrap_interval(total_Q, resamples)
    return low / num_seeds, high / num_seeds


def paired_difference(before_QS: ArrayLike, after_QS: ArrayLike, resamples: int = 10_000) -> Difference:
    """How far accuracy moved between two stages that answered the same questions in the same order.

    Row q of both arrays is the same question; the numbers of seeds may differ. Pairing removes the spread that comes
    from questions being easy or hard for both stages.
    """
    before_QS, after_QS = _grid(before_QS), _grid(after_QS)
    if len(before_QS) != len(after_QS):
        raise ValueError(f"paired stages answer the same questions: {len(before_QS)} and {len(after_QS)} rows")
    # Whole numbers over the common denominator, so that equal differences are equal values.
    scale = before_QS.shape[1] * after_QS.shape[1]
    change_Q = after_QS.sum(axis=1) * before_QS.shape[1] - before_QS.sum(axis=1) * after_QS.shape[1]
    low, high = _bootstrap_interval(change_Q, resamples)
    return Difference(float(change_Q.mean() / scale), (low / scale, high / scale))


def chance_level(num_options: Sequence[int]) -> float:
    """The accuracy of guessing: the mean of 1/options over the questions, which sets with 3 to 10 options need."""
    if not num_options or min(num_options) < 1:
        raise ValueError("the chance level needs at least one question, each with options")
    return float(np.mean([1 / count for count in num_options]))


def summarise(rows: Sequence[OutcomeRow], stage: str) -> dict[str, Any]:
    """The content of eval.json: `rows` hold one answer for every question and seed, and at most one greedy answer each.

    Accuracy, interval, difficulty tiers, malformed and truncated shares and the mean length (tokens) are over the
    sampled answers; with greedy answers only, they are over those and "seeds" is empty. "n" counts questions.
    Questions without a difficulty are in no tier. A hole or a repetition in the grid raises ValueError.
    """
    sampled = [row for row in rows if row["seed"] is not None]
    greedy = [row for row in rows if row["seed"] is None]
    counted = sampled or greedy
    right_QS, questions = _tabulate(counted)
    if sampled and greedy and _tabulate(greedy)[1].keys() != questions.keys():
        raise ValueError("greedy and sampled answers are not over the same questions")
    tiers = {}
    for tier in TIERS:
        members = [index for index, row in enumerate(questions.values()) if row["difficulty"] == tier]
        if members:
            tiers[tier] = {"accuracy": float(right_QS[members].mean()), "n": len(members)}
    return {
        "stage": stage,
        "accuracy": float(right_QS.mean()),
        "n": len(questions),
        "ci95": list(accuracy_interval(right_QS)),
        "seeds": [float(share) for share in right_QS.mean(axis=0)] if sampled else [],
        "greedy": _share(greedy, Outcome.CORRECT) if greedy else None,
        "chance": chance_level([row["num_options"] for row in questions.values()]),
        "malformed": _share(counted, Outcome.MALFORMED),
        "truncated": _share(counted, Outcome.TRUNCATED),
        "by_difficulty": tiers,
        "mean_length": float(np.mean([row["length"] for row in counted])),
    }


def _tabulate(rows: Sequence[OutcomeRow]) -> tuple[NDArray[np.int64], dict[str, OutcomeRow]]:
    """`right_QS` with one row per question in order of first appearance, and each question's first answer."""
    questions: dict[str, OutcomeRow] = {}
    for row in rows:
        questions.setdefault(row["item_id"], row)
    order = {item_id: index for index, item_id in enumerate(questions)}
    seeds = sorted({-1 if row["seed"] is None else row["seed"] for row in rows})
    right_QS = np.full((len(questions), len(seeds)), -1)
    for row in rows:
        cell = order[row["item_id"]], seeds.index(-1 if row["seed"] is None else row["seed"])
        if right_QS[cell] != -1:
            raise ValueError(f"question {row['item_id']} is answered twice with seed {row['seed']}")
        right_QS[cell] = row["outcome"] == Outcome.CORRECT
    if len(rows) != right_QS.size or not rows:
        raise ValueError(f"{len(rows)} answers do not fill {len(questions)} questions times {len(seeds)} seeds")
    return right_QS, questions


def _share(rows: Sequence[OutcomeRow], outcome: Outcome) -> float:
    return sum(row["outcome"] == outcome for row in rows) / len(rows)


def _grid(right_QS: ArrayLike) -> NDArray[np.int64]:
    """As a non-empty whole-number array of shape (Q, S); one dimension is taken as one seed."""
    grid = np.asarray(right_QS)
    if grid.ndim == 1:
        grid = grid[:, None]
    if grid.ndim != 2 or grid.size == 0 or not np.isin(grid, (0, 1)).all():
        raise ValueError(f"expected a non-empty (questions, seeds) array of 0 and 1, found shape {grid.shape}")
    return grid.astype(np.int64)


def _bootstrap_interval(totals_Q: NDArray[np.int64], resamples: int) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the mean of `totals_Q` under resampling of questions, always the same draw.

    Few distinct totals exist, so a resample is one multinomial draw over them: exact, and no (resamples, Q) array.
    """
    values, counts = np.unique(totals_Q, return_counts=True)
    n = len(totals_Q)
    draws = np.random.default_rng(0).multinomial(n, counts / n, size=resamples)
    low, high = np.percentile(draws @ values / n, (2.5, 97.5))
    return float(low), float(high)
