"""Frequencies of findings as bounds on the share of patients.

A count is an observation on few people, so its bounds are the 95 % Wilson score interval: 1/1 gives 0.21 to 1, not
"always". A class of HPO gives the bounds that HPO defines for it.
"""

import math
import re

# https://hpo.jax.org, children of HP:0040279
CLASSES = {
    "HP:0040280": (1.0, 1.0),
    "HP:0040281": (0.80, 0.99),
    "HP:0040282": (0.30, 0.79),
    "HP:0040283": (0.05, 0.29),
    "HP:0040284": (0.01, 0.04),
    "HP:0040285": (0.0, 0.0),
}
_COUNT = re.compile(r"(\d+)/(\d+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_Z = 1.959964


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Score interval of part/whole (Wilson 1927)."""
    share, scale = part / whole, 1 + _Z**2 / whole
    middle = (share + _Z**2 / (2 * whole)) / scale
    half = _Z * math.sqrt(share * (1 - share) / whole + _Z**2 / (4 * whole**2)) / scale
    # the formula gives 1e-17 and the like where the share is 0 or 1
    return (0.0 if part == 0 else middle - half), (1.0 if part == whole else middle + half)


def parse(text: str) -> tuple[int, int] | tuple[float, float] | None:
    """A count as two ints, bounds as two floats, nothing stated as None.

    Raises ValueError when the text is none of these.
    """
    if not text:
        return None
    if text in CLASSES:
        return CLASSES[text]
    if (count := _COUNT.fullmatch(text)) and int(count[2]) > 0 and int(count[1]) <= int(count[2]):
        return int(count[1]), int(count[2])
    if (percent := _PERCENT.fullmatch(text)) and float(percent[1]) <= 100:
        return float(percent[1]) / 100, float(percent[1]) / 100
    raise ValueError("expected n/m, a percentage or an HPO frequency class")


def combined(values: list[tuple[int, int] | tuple[float, float] | None]) -> tuple[float, float] | None:
    """Bounds of several statements about one finding: counts are pooled, then the widest bounds hold."""
    counts = [value for value in values if value and isinstance(value[0], int)]
    bounds = [value for value in values if value and isinstance(value[0], float)]
    if counts:
        bounds.append(wilson(sum(int(n) for n, _ in counts), sum(int(m) for _, m in counts)))
    return (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else None


def absent(value: tuple[int, int] | tuple[float, float] | None) -> bool:
    """0/m or "excluded": the finding was looked for and not there."""
    return value is not None and value[0] == 0 and (isinstance(value[0], int) or value[1] == 0)
