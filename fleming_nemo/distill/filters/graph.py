"""Steps that contradict the graph, for items that hold a proof (others pass).

    a finding of the question stated the other way round
    a wrong option given a finding that its record lacks, or denied one that it has
    a wrong option said to fit, or to stand in the relation that is asked for
    another gene, or another mode of inheritance, in place of the recorded one
    a frequency in the other band

Only what a sentence asserts counts: suppositions and comparisons state nothing of this kind.
"""

import re
from itertools import pairwise

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters import graph_cues as cues
from fleming_nemo.distill.filters.modes import agree, modes_in
from fleming_nemo.distill.proof import Clue, Proof, Rival, Step
from fleming_nemo.distill.reading.entities import Entities
from fleming_nemo.distill.reading.stance import Stance, denies, excludes, stances, supposes
from fleming_nemo.distill.reading.text import folded


def contradiction(candidate: Candidate) -> str | None:
    proof = candidate.entities.proof
    if proof is None:
        return None
    for sentence in candidate.sentences:
        if sentence.endswith(("?", "？")):
            continue
        reason = _Sentence(sentence, candidate.entities, proof).contradiction()
        if reason is not None:
            return reason
    return None


class _Sentence:
    """One sentence against the proof."""

    def __init__(self, text: str, entities: Entities, proof: Proof) -> None:
        self.text, self.low, self.entities, self.proof = text, folded(text), entities, proof
        self.bare = entities.masked(text, "_")
        self.stances = stances(text, entities)
        self.letters = list(dict.fromkeys(s.mention.key for s in self.stances if s.mention.kind == "option"))
        self.rivals = [rival for rival in proof.rivals if rival.letter in self.letters]
        self.supposed = supposes(self.bare)

    def contradiction(self) -> str | None:
        checks = (self._finding, self._rival_finding, self._rival, self._mode, self._gene, self._band, self._edge)
        return next((reason for check in checks if (reason := check())), None)

    def _clues(self) -> list[tuple[Clue, Stance]]:
        by_text = {clue.text: clue for clue in self.proof.clues}
        return [(by_text[s.mention.key], s) for s in self.stances if s.mention.kind == "clue"]

    def _finding(self) -> str | None:
        """What the question says is present or absent, said otherwise of the patient or of the diagnosis."""
        if self.rivals or self.supposed or self.proof.kind == "bands":
            return None
        named = bool(self.letters) or any(s.mention.kind == "node" for s in self.stances)
        if not named and cues.PRONOUN.search(self.bare) and not cues.PATIENT.search(self.bare):
            return None
        for clue, stance in self._clues():
            if clue.present and stance.denied and not cues.CONTRAST.search(self.bare) and not excludes(self.bare):
                return "denies a finding that is present"
            if not clue.present and not denies(self.bare):
                return "states a finding that is absent"
        return None

    def _sole_rival(self) -> Rival | None:
        return self.rivals[0] if len(self.rivals) == 1 and len(self.letters) == 1 else None

    def _rival_finding(self) -> str | None:
        rival = self._sole_rival()
        if rival is None or not rival.compared or self.proof.kind != "findings" or self.supposed:
            return None
        if cues.CONTRAST.search(self.bare):
            return None
        for clue, stance in self._clues():
            if not clue.present:
                continue
            if clue in rival.missing and not stance.denied and not excludes(stance.clause):
                return "gives a wrong option a finding that its record lacks"
            if clue in rival.shared and stance.denied and not excludes(stance.clause):
                return "denies a wrong option a finding that it has on record"
        return None

    def _rival(self) -> str | None:
        """A wrong option affirmed. Lists that name several options, and comparisons, affirm none of them."""
        if (
            self.supposed
            or not cues.RELATES.search(self.bare)
            or cues.CONTRAST.search(self.bare)
            or excludes(self.bare)
        ):
            return None
        affirmed = [r for r in self.rivals if not any(s.denied for s in self._of(r))]
        right = self._of(self.proof)
        if len(affirmed) != 1 or (right and not any(s.denied for s in right)):
            return None
        rival = affirmed[0]
        if any(stance.denied for stance in self.stances if stance.mention.kind == "clue"):
            return None  # the sentence also says what speaks against the option
        said = [clue for clue, _ in self._clues()]
        if self.proof.kind == "findings" and rival.compared:
            if cues.PARTIAL.search(self.bare) or (
                said and all(c in rival.shared for c in said) and not cues.EVERY.search(self.bare)
            ):
                return None
            if not said and not cues.WHOLE.search(self.bare) and not self._through(rival):
                return None
        elif cues.PARTIAL.search(self.bare) or not self._asserts():
            return None
        return "calls a wrong option fitting"

    def _through(self, rival: Rival) -> bool:
        """A relation of the path that is stated of the wrong option."""
        return (
            any(s.mention.kind == "node" and s.mention.key in self.proof.path for s in self.stances) and self._asserts()
        )

    def _asserts(self) -> bool:
        return not any(s.denied for rival in self.rivals for s in self._of(rival))

    def _of(self, one: Rival | Proof) -> list[Stance]:
        return [s for s in self.stances if s.mention.kind == "option" and s.mention.key == one.letter]

    def _mode(self) -> str | None:
        """Another mode of inheritance than the recorded one."""
        step = next((step for step in self.proof.steps if step.relation == "inherited_as"), None)
        if step is None or self.supposed or excludes(self.low) or cues.CONTRAST.search(self.bare):
            return None
        right = set().union(*(modes_in(name) for name in self.proof.names[self.proof.path[-1]]))
        # Names of diseases may hold a mode ("..., autosomal dominant"); those of options are modes themselves.
        text = self.low
        names = [name for node in self.proof.path[:-1] for name in self.proof.names[node]]
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(folded(name), "_")
        said = modes_in(text)
        wrong = {mode for mode in said if not any(agree(mode, one) for one in right)}
        if not wrong or said != wrong or cues.NEGATION.search(text):
            return None
        return "states another mode of inheritance"

    def _gene(self) -> str | None:
        """A symbol in the place of a gene, where the path has another gene that the sentence does not name."""
        genes = {
            node
            for step, pair in zip(self.proof.steps, pairwise(self.proof.path), strict=True)
            for node in pair
            if self.proof.names[node][0] == _gene_of(step)
        }
        named = {s.mention.key for s in self.stances if s.mention.kind == "node"}
        if not genes or genes & named or self.supposed or excludes(self.bare):
            return None
        if any(s.denied for s in self.stances) or cues.NEGATION.search(self.bare):
            return None
        known = {word for name in self.entities.names() for word in re.findall(r"[a-z0-9-]+", name)}
        known |= set(re.findall(r"[a-z0-9-]+", folded(self.entities.item.question)))
        for match in cues.GENE.finditer(self.entities.blanked(self.text)):
            symbol = next(group for group in match.groups() if group)
            if folded(symbol) not in known and symbol not in cues.NO_GENES:
                return "names another gene than the recorded one"
        return None

    def _band(self) -> str | None:
        if self.proof.kind != "bands" or self.rivals or self.supposed:
            return None
        for clue, stance in self._clues():
            clause = self._near(stance)
            if clue.band == "often" and cues.SELDOM.search(clause) and not cues.OFTEN.search(clause):
                return "puts a finding into the other frequency band"
            if clue.band == "seldom" and cues.OFTEN.search(clause) and not cues.SELDOM.search(clause):
                return "puts a finding into the other frequency band"
        return None

    def _edge(self) -> str | None:
        """The right option, or a relation of the path, denied."""
        if self.rivals or self.supposed or cues.CONTRAST.search(self.bare) or excludes(self.bare):
            return None
        right = self._of(self.proof)
        if right and all(s.denied for s in right) and not self._clues():
            return "denies the right option"
        nodes = {
            s.mention.key: s for s in self.stances if s.mention.kind == "node" and s.mention.key in self.proof.path
        }
        both = any(one in nodes and other in nodes for one, other in pairwise(self.proof.path))
        return "denies a relation that is recorded" if both and any(s.denied for s in nodes.values()) else None

    def _near(self, stance: Stance) -> str:
        """From the finding to the next one."""
        later = [s.mention.start for s in self.stances if s.mention.start > stance.mention.start]
        return self.low[stance.mention.end : min(later, default=len(self.low))]


def _gene_of(step: Step) -> str | None:
    return {"caused_by": step.object, "has_gene_drug_guideline": step.subject}.get(step.relation)
