"""Answers to questions from their text and the graph alone: `graph-solver`.

It sees what an examinee sees, question and options. Names are looked up, findings are weighed by how few diseases have
them, findings that are stated as absent count against, and walks of at most four hops lead from what is named or
diagnosed to the options. It shares no code with the synthesis and sees neither path nor proof. What it checks is
whether the **wording** still leads to the label: an item that it fails in every trial is worded so that the evidence
does not carry the answer, or asks for something that this solver cannot follow. It is no judge of medicine, and since
it reads the same graph it cannot see an error of the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from fleming_nemo.data.items import LETTERS
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.solver.lexicon import Lexicon
from fleming_nemo.rods.solver.reading import Finding, Reading, read
from fleming_nemo.rods.solver.view import Statements, View, kept_edges
from fleming_nemo.rods.solver.walk import walk

NAME = "graph-solver"
ABSTAINED = "no evidence"
"""Recorded where the text leads to none of the options: never a guess."""
_SUSPECTS = 16
_AGAINST_BITS = 4.0
"""What a finding counts against a disease that usually shows it but is said not to, or the other way round."""


class GraphSolver:
    """Raises UserError when the graph cannot be read."""

    def __init__(self, kg: KnowledgeGraph, trials: int, seed: int = 1) -> None:
        self.kg, self.lexicon = kg, Lexicon(kg)
        statements = Statements(kg)
        self.statements = statements
        self.views = [View(statements, kept_edges(kg.num_edges, seed, trial)) for trial in range(trials)]

    def answers(self, question: str, options: Sequence[str]) -> tuple[str, ...]:
        """A letter, or ABSTAINED, for each trial."""
        reading = read(self.kg, self.lexicon, question, options)
        if not any(reading.options):
            return (ABSTAINED,) * len(self.views)
        return tuple(self._answer(reading, view, f"{trial}/{question}") for trial, view in enumerate(self.views))

    def _answer(self, reading: Reading, view: View, draw: str) -> str:
        scores = self._scores(reading, view)
        best = max(scores)
        if best <= 0:
            return ABSTAINED
        tied = [at for at, score in enumerate(scores) if score >= best * (1 - 1e-9)]
        chosen = tied[0]
        if len(tied) > 1:
            chosen = tied[int.from_bytes(hashlib.sha256(draw.encode()).digest()[:8]) % len(tied)]
        return LETTERS[chosen]

    def _scores(self, reading: Reading, view: View) -> list[float]:
        """One weight for each option; 0 where nothing leads to it."""
        slots = self.statements.slot
        evidence = self._diseases(reading.findings, view) if reading.findings else None
        asked_for_disease = any(slots[n] >= 0 for nodes in reading.options for n in nodes)
        if evidence is not None and asked_for_disease and not reading.another and not reading.entities:
            # The diagnosis itself is asked for. Bits become odds, so that all of the options share one scale.
            bits = [max((evidence[slots[n]] for n in nodes), default=-np.inf) for nodes in reading.options]
            top = max(bits)
            return [float(2.0 ** (b - top)) if b > -np.inf and top > 0 else 0.0 for b in bits]
        targets = frozenset(n for nodes in reading.options for n in nodes)
        found: dict[int, float] = {}
        if reading.entities:
            for nodes in reading.entities:
                start = [(n, 1.0 / len(nodes)) for n in nodes]
                for node, weight in walk(view, start, reading.relations, reading.another, targets).items():
                    found[node] = found.get(node, 0.0) + weight
        if evidence is not None:
            for node, weight in walk(
                view, self._suspects(evidence), reading.relations, reading.another, targets
            ).items():
                found[node] = found.get(node, 0.0) + weight
        return [sum(found.get(n, 0.0) for n in nodes) for nodes in reading.options]

    def _suspects(self, evidence: np.ndarray) -> list[tuple[int, float]]:
        """The diseases that the findings speak for most, weighted by their odds."""
        best = np.arange(len(evidence))
        if len(evidence) > _SUSPECTS:
            best = np.argpartition(-evidence, _SUSPECTS)[:_SUSPECTS]
        best = best[np.lexsort((best, -evidence[best]))]
        odds = 2.0 ** (evidence[best] - evidence[best[0]])
        odds /= odds.sum()
        return [(int(self.statements.diseases[slot]), float(w)) for slot, w in zip(best, odds, strict=True) if w > 1e-4]

    def _diseases(self, findings: Sequence[Finding], view: View) -> np.ndarray:
        """Bits of evidence for every disease."""
        bits = np.zeros(len(self.statements.diseases))
        for finding in findings:
            having = _union(view.has, finding.nodes)
            if finding.denied:
                bits[_union(self.statements.often, finding.nodes)] -= _AGAINST_BITS
                bits[_union(self.statements.denied, finding.nodes)] += 1.0
                continue
            weight = np.log2(view.annotated / len(having)) if len(having) else 0.0
            if finding.share is None:
                bits[having] += weight
                continue
            side, share = finding.share
            fitting = _union(view.bounded(side, share), finding.nodes)
            contrary = _union(view.bounded("most" if side == "least" else "least", share), finding.nodes)
            bits[having] += weight / 2
            bits[fitting] += weight / 2
            bits[np.setdiff1d(contrary, fitting)] -= _AGAINST_BITS
        return bits


def _union(rows: object, nodes: Sequence[int]) -> np.ndarray:
    if len(nodes) == 1:
        return rows[nodes[0]]  # type: ignore[index]
    return np.unique(np.concatenate([rows[n] for n in nodes]))  # type: ignore[index]


@lru_cache(maxsize=1)
def solver_of(graph: Path, trials: int, seed: int) -> GraphSolver:
    """One per process: reading the graph takes longer than a thousand questions."""
    return GraphSolver(KnowledgeGraph.load(graph), trials, seed)
