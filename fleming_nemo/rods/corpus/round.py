"""What one round of synthesis and checks has found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.rods.corpus.overlaps import Overlaps
from fleming_nemo.rods.corpus.slim import Synthesised
from fleming_nemo.rods.curated.label_check import Checked
from fleming_nemo.rods.curated.votes import Votes

REVIEW = "to review"
DROPPED = "dropped by a reviewer"


@dataclass(frozen=True, slots=True)
class Round:
    """`gone`: position -> why the item does not stay; everything else is the corpus."""

    folder: Path
    """Where the synthesised items are."""
    funnel: dict[str, Any]
    """Counts of the synthesis."""
    made: Synthesised
    overlaps: Overlaps
    votes: dict[str, Votes]
    labels: Checked
    gone: dict[int, str]
