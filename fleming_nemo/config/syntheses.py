"""What `data.synthesis` can build: the data directories of the demo, of small runs, and of the nano base model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Synthesis:
    """Contents of a data directory.

    Attributes:
        kind: "graph", questions and chains from the knowledge graph (`fleming_nemo.rods`); "drills", exercises in
            generic skills without any medical fact (`fleming_nemo.data.drills`), which the nano base is trained on.
        diseases: size of the disease universe that the questions are about.
        sft_items: questions with chains of thought, or drills.
        rl_items: questions of the reinforcement-learning pool.
        heldout_items: held-out questions; their evidence sets occur nowhere else.
        shallow_share: share of easy and moderate chains that give the right letter without the reasoning behind it.
        shallow_share_difficult: the same for difficult questions, where a teacher skips steps more often.
    """

    kind: str = "graph"
    diseases: int = 48
    sft_items: int = 16_000
    rl_items: int = 900
    heldout_items: int = 600
    shallow_share: float = 0.5
    shallow_share_difficult: float = 0.75


NONE = "none"
SYNTHESES = {
    "demo": Synthesis(),
    "small": Synthesis(diseases=16, sft_items=96, rl_items=48, heldout_items=24, shallow_share_difficult=0.8),
    "drills": Synthesis(kind="drills", sft_items=96_000, heldout_items=500),
}
