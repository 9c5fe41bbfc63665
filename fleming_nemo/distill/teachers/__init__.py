"""Teachers: whoever writes a rationale for an item."""

from dataclasses import dataclass
from typing import Protocol

from fleming_nemo.data.items import QAItem

DRAFTS = ("rationalise", "solve")
REFINEMENTS = ("explore", "correct", "backtrack")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rationale as it came. `text` is the assistant's turn, "" when none came; `fault` then says why.

    Attributes:
        mode: rationalise (the answer was given), solve (it was not), or the refinement asked for.
        round: 0 for a draft, then the number of the refinement.
        trial: which of k drafts.
        finished: whether the teacher ended by itself.
    """

    mode: str
    round: int
    trial: int
    text: str
    finished: bool = True
    style: str = ""
    fault: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a teacher. A refinement names the attempt to be refined and the filter that objected."""

    mode: str
    trial: int = 0
    round: int = 0
    told: bool = False
    """Whether the teacher may know the answer."""
    previous: Attempt | None = None
    objection: str = "answer"


class Teacher(Protocol):
    """`name` and `model` go into provenance: the offline teacher always calls itself graph-offline."""

    name: str
    model: str

    async def reason(self, item: QAItem, ask: Ask) -> Attempt:
        """Raises UserError when the run has to stop; what concerns this item alone is a fault of the attempt."""
        ...
