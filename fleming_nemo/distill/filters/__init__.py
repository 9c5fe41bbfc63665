"""What a rationale must not be. Each filter is a function of a candidate that returns a reason, or None.

They are asked in this order; the first reason is the one an item is rejected for. Faithfulness comes last, as its judge
may be a model that costs money (fleming_nemo/distill/judges.py).
"""

from collections.abc import Callable

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters.answer import answer
from fleming_nemo.distill.filters.format import form
from fleming_nemo.distill.filters.graph import contradiction
from fleming_nemo.distill.filters.language import language
from fleming_nemo.distill.filters.leak import leak
from fleming_nemo.distill.filters.length import length
from fleming_nemo.distill.filters.repetition import repetition

Filter = Callable[[Candidate], str | None]
FILTERS: dict[str, Filter] = {
    "format": form,
    "answer": answer,
    "length": length,
    "language": language,
    "repetition": repetition,
    "leak": leak,
    "graph": contradiction,
}


def first_fault(candidate: Candidate) -> tuple[str, str] | None:
    """(filter, reason) of the first filter that objects."""
    for name, objects in FILTERS.items():
        reason = objects(candidate)
        if reason is not None:
            return name, reason
    return None
