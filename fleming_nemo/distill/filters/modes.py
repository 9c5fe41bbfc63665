"""Modes of inheritance as texts name them, in English and Chinese."""

import re

_MODES = {
    "autosomal recessive": r"autosomal[- ]recessive|常染色体隐性|常隐",
    "autosomal dominant": r"autosomal[- ]dominant|常染色体显性|常显",
    "x-linked recessive": r"x[- ]linked recessive|x\s*(?:-|染色体)?\s*连锁隐性|伴x(?:染色体)?隐性",
    "x-linked dominant": r"x[- ]linked dominant|x\s*(?:-|染色体)?\s*连锁显性|伴x(?:染色体)?显性",
    "x-linked": r"x[- ]linked(?! (?:recessive|dominant))|x\s*(?:-|染色体)?\s*连锁(?!隐|显)",
    "y-linked": r"y[- ]linked|y\s*(?:-|染色体)?\s*连锁",
    "mitochondrial": r"mitochondrial(?:ly)? inherit|maternal(?:ly)? inherit|线粒体遗传|母系遗传",
    "polygenic": r"polygenic|multifactorial|oligogenic|digenic|多基因|多因素",
    "semidominant": r"semi-?dominant|半显性",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _MODES.items()}


def modes_in(text: str) -> set[str]:
    """Modes named."""
    return {name for name, pattern in _PATTERNS.items() if pattern.search(text.casefold())}


def agree(one: str, other: str) -> bool:
    """Whether both can be said of one disease: plain X-linked goes with its recessive and dominant forms."""
    return one == other or "x-linked" in (one, other) and one.startswith("x-linked") and other.startswith("x-linked")
