"""Faithfulness: does the reasoning lead to the answer when its conclusion is taken away?

The judge of the graph needs no model: the evidence of the proof has to stand in the reasoning, and what it says of the
options has to single out one. The judge behind an endpoint reads question, options and reasoning, and answers.
"""

import math
import re
from dataclasses import dataclass

from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.proof import Proof
from fleming_nemo.distill.reading.conclusion import conclusion, without_conclusion
from fleming_nemo.distill.reading.stance import excludes, stances, supposes
from fleming_nemo.distill.reading.text import folded, sentences, words

GRAPH = "graph"
_FINDINGS = 0.6
_OTHERS = re.compile(r"\b(?:others|other options|other choices|remaining|rest)\b|其余|其他")


@dataclass(frozen=True, slots=True)
class Judgement:
    """`letter` is what the judge concludes, None when nothing is decided; `reason` says why it is not the answer."""

    by: str
    letter: str | None
    reason: str | None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def graph_judge(candidate: Candidate) -> Judgement:
    """For items with a proof, and for questions of the small graph, whose path has to be named."""
    proof, right = candidate.entities.proof, candidate.item.letter
    said = conclusion(candidate.reasoning, candidate.entities)
    if said is not None and said != right:
        return Judgement(GRAPH, said, f"the reasoning concludes {said}")
    if proof is None:
        missing = _missing_nodes(candidate)
        return Judgement(GRAPH, None if missing else right, f"does not name {missing}" if missing else None)
    body = without_conclusion(candidate.reasoning, candidate.entities)
    lack = _evidence_missing(candidate, proof, body)
    if lack is not None:
        return Judgement(GRAPH, None, lack)
    letter = _singled_out(candidate, proof, body)
    return Judgement(GRAPH, letter, None if letter == right else "the evidence does not single out the answer")


def _missing_nodes(candidate: Candidate) -> str | None:
    provenance = candidate.item.provenance
    ends = [node for edge in provenance["edges"] for node in (edge["from"], edge["to"])]
    texts = folded(candidate.reasoning)
    for node in dict.fromkeys(ends):
        name = provenance["nodes"].get(node)
        if name and folded(name) not in texts and node != provenance["answer_node"] and not node.startswith("HP:"):
            return str(name)
    return None


def _evidence_missing(candidate: Candidate, proof: Proof, body: str) -> str | None:
    """What of the proof the body does not name: findings (a share may stay unnamed), the nodes between, the start."""
    mentions = candidate.entities.find(body)
    named = {m.key for m in mentions if m.kind == "node"}
    for node in proof.path[1:-1] if proof.kind == "named" else proof.path[:-1]:
        if node not in named and not any(_paraphrased(name, body) for name in proof.names[node]):
            return f"does not name {proof.names[node][0]}"
    if proof.kind == "named":
        start = proof.path[0]
        told = start in named or any(_paraphrased(name, body) for name in proof.names[start])
        return None if told else f"does not name {proof.start}"
    found = {m.key for m in mentions if m.kind == "clue"}
    found |= {c.text for c in proof.clues if c.text not in found and any(_paraphrased(n, body) for n in c.names)}
    if len(found) < math.ceil(_FINDINGS * len(proof.clues)):
        return f"names {len(found)} of {len(proof.clues)} findings"
    return None


def _paraphrased(name: str, body: str) -> bool:
    """Whether one sentence holds all the telling words of a name, up to their endings."""
    wanted = [_stem(word) for word in words(name) if len(word) > 3]
    if len(wanted) < 2:
        return False
    return any(set(wanted) <= {_stem(word) for word in words(sentence)} for sentence in sentences(body))


def _stem(word: str) -> str:
    return word[: max(4, len(word) - 3)] if word.isascii() else word


def _singled_out(candidate: Candidate, proof: Proof, body: str) -> str | None:
    """The option that the body speaks for most: named without denial counts for it, denied or struck out against it."""
    score = dict.fromkeys([proof.letter, *(rival.letter for rival in proof.rivals)], 0)
    present = {clue.text for clue in proof.clues if clue.present}
    for sentence in sentences(body):
        found = stances(sentence, candidate.entities)
        letters = {s.mention.key for s in found if s.mention.kind == "option"}
        if not letters or supposes(candidate.entities.masked(sentence)):
            continue
        bare = candidate.entities.masked(sentence)
        struck = excludes(bare) or bool(_OTHERS.search(bare))
        lacking = any(s.denied for s in found if s.mention.kind == "clue" and s.mention.key in present)
        # "It goes without X, and so does the patient" speaks for an option, however it is put.
        agrees = any(s.denied and s.mention.key not in present for s in found if s.mention.kind == "clue")
        for letter in letters:
            own = [s for s in found if s.mention.kind == "option" and s.mention.key == letter]
            against = struck or lacking or (any(s.denied for s in own) and not agrees)
            score[letter] += -1 if against else 1 if len(letters) <= 2 else 0
    best = max(score.values())
    leading = [letter for letter, points in score.items() if points == best]
    return leading[0] if len(leading) == 1 else None
