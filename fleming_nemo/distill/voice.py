"""The sentences that every style of the offline teacher is made of. Only facts of the proof are stated."""

import random
from collections.abc import Sequence
from itertools import cycle

from fleming_nemo.distill.proof import Proof, Rival
from fleming_nemo.distill.wording import GLUE, PHRASES

_LISTED = 3


class Voice:
    """The sentences of one chain. Ways to say a thing follow each other in turn, so that a long list does not drone."""

    def __init__(self, proof: Proof, rng: random.Random) -> None:
        self.proof, self.rng = proof, rng
        self._glue = GLUE[proof.language]
        self._ways: dict[str, cycle[str]] = {}

    def say(self, key: str, **slots: object) -> str:
        if key not in self._ways:
            ways = PHRASES[self.proof.language][key]
            self._ways[key] = cycle(self.rng.sample(ways, len(ways)))
        text = next(self._ways[key]).format(**slots)
        first = text.split(" ", 1)[0].rstrip(",;").replace("-", "")
        return text[0].upper() + text[1:] if first.isalpha() and first.isascii() and first.islower() else text

    def listed(self, texts: Sequence[str], joint: str = "and", most: int = _LISTED) -> str:
        """ "a, b and c"; beyond `most` the rest is counted."""
        shown = (
            list(texts) if len(texts) <= most + 1 else [*texts[:most], self._glue["more"].format(n=len(texts) - most)]
        )
        last = self._glue["and" if len(texts) > most + 1 else joint]
        glue = self._glue["wide list" if any(self._glue["list"] in text for text in shown) else "list"]
        return last.join([glue.join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]

    def joined(self, sentences: Sequence[str]) -> str:
        return self._glue["space"].join(sentence for sentence in sentences if sentence)

    def opening(self) -> list[str]:
        """What the question shows."""
        proof = self.proof
        if proof.kind == "named":
            return [self.say("open named", start=proof.start)]
        if proof.kind == "bands":
            bands = [self.say(clue.band or "", finding=clue.text) for clue in proof.clues]
            return [self.say("open bands", bands=self.listed(bands, most=99))]
        said = [self.say("open", present=self.listed([c.text for c in proof.clues if c.present], most=99))]
        absent = [c.text for c in proof.clues if not c.present]
        return said + ([self.say("absent", absent=self.listed(absent, "or", 99))] if absent else [])

    def diagnosis(self) -> list[str]:
        """From what is shown to the first node of the path; nothing when that is named."""
        proof = self.proof
        if proof.kind == "named":
            return []
        if proof.kind == "bands":
            return [self.say("fits bands", disease=proof.start)]
        absent = [c.text for c in proof.clues if not c.present]
        said = [self.say("fits", disease=proof.start)]
        return said + (
            [self.say("fits absent", disease=proof.start, absent=self.listed(absent, "or"))] if absent else []
        )

    def details(self, most: int) -> list[str]:
        """Which record stands behind a broad finding."""
        readable = [c for c in self.proof.clues if c.own and c.present and self._reads(c.own)]
        return [self.say("covers", own=c.own, shown=c.text) for c in readable[:most]]

    def shares(self, most: int) -> list[str]:
        """Findings that most patients have, the most regular first."""
        known = [c for c in self.proof.clues if c.present and not c.band and c.low and c.low >= 0.3]
        known.sort(key=lambda clue: -(clue.low or 0))
        return [self.say("share", finding=c.text, low=int(100 * (c.low or 0) + 1e-6)) for c in known[:most]]

    def walk(self) -> list[str]:
        """The relations of the path, one sentence each, in the order they are walked."""
        said, causes = [], 0
        for step in self.proof.steps:
            key = step.relation
            if step.end == step.subject and f"{key} back" in PHRASES[self.proof.language]:
                key = f"{key} other" if causes else f"{key} back"
            key = key if key in PHRASES[self.proof.language] else step.relation + " back"
            causes += step.relation == "caused_by"
            said.append(self.say(key, subject=step.subject, object=step.object))
        return said

    def against(self, rival: Rival, label: str | None = None, table: bool = False) -> str:
        """What the proof holds against a wrong option."""
        proof, option = self.proof, label or rival.text
        if proof.kind == "named":
            return self.say("row named" if table else self._plain(), option=option, start=proof.start)
        if not rival.compared:
            return self.say("row named" if table else "rival mode", option=option)
        if proof.kind == "bands":
            missing = self.listed([c.text for c in rival.missing])
            return self.say("row bands" if table else "rival bands", option=option, missing=missing)
        positive = [c.text for c in rival.missing if not c.present]
        lacking = [c.text for c in rival.missing if c.present]
        shared = [c.text for c in rival.shared if c.present]
        via = "via " if rival.text not in self._diagnoses() else ""
        if not lacking:
            return self.say("row positive" if table else f"rival {via}positive", option=option, finding=positive[0])
        few = self.listed(lacking, "or")
        if not shared:
            return self.say("row none" if table else f"rival {via}none", option=option, missing=few)
        key = "row some" if table else f"rival {via}some"
        return self.say(key, option=option, shared=self.listed(shared), missing=few)

    def conclusion(self) -> str:
        return self.say("conclusion", letter=self.proof.letter, answer=self.proof.answer)

    def closest(self) -> list[Rival]:
        """Wrong options, those with most in common with the right one first; drawn where none has more."""
        rivals = list(self.proof.rivals)
        self.rng.shuffle(rivals)
        return sorted(rivals, key=lambda rival: len(rival.missing) - len(rival.shared))

    def labelled(self, letter: str, text: str) -> str:
        return f"{letter}) {text}" if self.proof.language == "en" else f"{letter}）{text}"

    def _plain(self) -> str:
        mode = self.proof.steps[-1].relation == "inherited_as"
        return "rival mode" if mode else f"rival {self.proof.family}"

    def _diagnoses(self) -> set[str]:
        """Texts of the wrong options when they are diagnoses themselves, so that nothing is led back to."""
        return set() if self.proof.steps else {rival.text for rival in self.proof.rivals}

    def _reads(self, text: str) -> bool:
        return self.proof.language == "en" or any("\u4e00" <= char <= "\u9fff" for char in text)
