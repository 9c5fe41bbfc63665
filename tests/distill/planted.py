"""Spoilt rationales, made from good ones: what the filters have to find.

Every kind takes a good chain and a random source and gives the spoilt response (with its tags), or None where the item
has nothing to spoil in that way. The wordings are those of people, not of the filters: nothing is shared with them.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import heldout_words
import planted_words as say

from fleming_nemo.data.chat import IM_END, render_response
from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.proof import Proof, proof_of
from fleming_nemo.distill.verbalise import STYLES, verbalise


@dataclass(frozen=True)
class Good:
    item: QAItem
    proof: Proof
    reasoning: str

    @property
    def language(self) -> str:
        return self.item.language

    @property
    def text(self) -> str:
        return response(self.reasoning, self.item.letter)


def response(reasoning: str, letter: str) -> str:
    return render_response(reasoning, letter).removesuffix(IM_END)


def good(item: QAItem, rng: random.Random) -> Good:
    proof = proof_of(item)
    return Good(item, proof, verbalise(proof, rng.choice(list(STYLES)), rng))


def _split(text: str) -> list[str]:
    """Sentences with their final marks; whatever the reader of the package does is of no concern here."""
    return [s for s in re.split(r"(?<=[.。])\s+(?=[A-Z\"(])|(?<=。)|\n", text) if s.strip()]


def _join(parts: Sequence[str], language: str) -> str:
    return (" " if language == "en" else "").join(part.strip() for part in parts)


def _inserted(chain: Good, sentence: str, rng: random.Random, first: int = 0) -> str:
    parts = _split(chain.reasoning)
    at = rng.randint(min(first, len(parts) - 1), max(len(parts) - 1, 0))
    return response(_join([*parts[:at], sentence, *parts[at:]], chain.language), chain.item.letter)


def with_leak(chain: Good, words: str, rng: random.Random) -> str:
    return _inserted(chain, words.format(X=chain.item.letter, text=chain.proof.answer), rng)


def with_letter_first(chain: Good, words: str, rng: random.Random) -> str:
    sentence = words.format(X=chain.item.letter, text=chain.proof.answer)
    return response(_join([sentence, *_split(chain.reasoning)], chain.language), chain.item.letter)


HELD_OUT = {with_leak: heldout_words.LEAKS, with_letter_first: heldout_words.LETTER_FIRST}


def leaking(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    return with_leak(chain, rng.choice(say.LEAKS[chain.language]), rng)


def letter_first(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    return with_letter_first(chain, rng.choice(say.LETTER_FIRST[chain.language]), rng)


def empty_talk(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """The right letter after sentences that would fit any question."""
    talk = rng.sample(say.EMPTY_TALK[chain.language], 4)
    end = rng.choice(say.ENDS[chain.language]).format(X=chain.item.letter, text=chain.proof.answer)
    return response(_join([*talk, end], chain.language), chain.item.letter)


def foreign_evidence(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """The reasoning of another question, with this one's letter."""
    names = {name for several in chain.proof.names.values() for name in several}
    strangers = [o for o in others if o.language == chain.language and not any(n in o.reasoning for n in names)]
    if not strangers:
        return None
    other = rng.choice(strangers)
    end = rng.choice(say.ENDS[chain.language]).format(X=chain.item.letter, text=chain.proof.answer)
    return response(_join([*_split(other.reasoning)[:-1], end], chain.language), chain.item.letter)


def other_option(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """Argues for a wrong option, and answers with the right letter."""
    rival = rng.choice(chain.proof.rivals)
    argued = chain.reasoning.replace(chain.proof.answer, "\0").replace(rival.text, chain.proof.answer)
    argued = argued.replace("\0", rival.text)
    argued = re.sub(rf"\b{chain.item.letter}([)）])", rf"{rival.letter}\1", argued)
    return response(argued, chain.item.letter)


def without_bridge(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """Leaps over a step: every sentence about a node between question and answer is gone."""
    hidden = [name for node in chain.proof.hidden for name in chain.proof.names[node]]
    kept = [s for s in _split(chain.reasoning) if not any(name.casefold() in s.casefold() for name in hidden)]
    return response(_join(kept, chain.language), chain.item.letter) if hidden and kept else None


def looping(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    parts = _split(chain.reasoning)
    way = rng.randrange(5)
    if way == 0:
        at = rng.randrange(len(parts))
        parts[at : at + 1] = [parts[at]] * rng.randint(4, 9)
    elif way == 1:
        at = rng.randrange(max(len(parts) - 1, 1))
        parts[at : at + 2] = parts[at : at + 2] * rng.randint(3, 6)
    elif way == 2:
        parts = parts[:-1] * 2 + parts[-1:]
    elif way == 3:
        filler = rng.choice(say.FILLERS[chain.language])
        parts[-1:-1] = [filler] * rng.randint(3, 12)
    else:
        words = (
            parts[0].split() if chain.language == "en" else [parts[0][i : i + 2] for i in range(0, len(parts[0]), 2)]
        )
        cut = words[: rng.randint(2, 6)]
        glue = " " if chain.language == "en" else ""
        parts[-1:-1] = [glue.join(cut * rng.randint(6, 15)) + ("." if chain.language == "en" else "。")]
    return response(_join(parts, chain.language), chain.item.letter)


def wrong_language(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """The same proof in the other language, all of it or a good part; or sentences of a third one."""
    other = "zh" if chain.language == "en" else "en"
    translated = verbalise(replace(chain.proof, language=other), rng.choice(list(STYLES)), rng)
    way = rng.randrange(3)
    if way == 0:
        return response(translated, chain.item.letter)
    if way == 1:
        mine, theirs = _split(chain.reasoning), _split(translated)
        half = len(mine) // 2
        return response(_join([*mine[:half], *theirs[len(theirs) // 3 :]], other), chain.item.letter)
    third = rng.choice(list(say.THIRD.values()))
    talk = [s.format(answer=chain.proof.answer, start=chain.proof.start) for s in rng.sample(third, 4)]
    return response(" ".join([*talk, f"{chain.item.letter}) {chain.proof.answer}."]), chain.item.letter)


def contradicting(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """One statement that the item's record denies, among the good ones."""
    ways = [_fitting_rival, _borrowed_finding, _denied_finding, _other_gene, _other_mode, _related_rival]
    for way in rng.sample(ways, len(ways)):
        sentence = way(chain, rng)
        if sentence:
            return _inserted(chain, sentence, rng, 1)
    return None


def _fitting_rival(chain: Good, rng: random.Random) -> str | None:
    if chain.proof.kind == "named":
        return None
    rival = rng.choice(chain.proof.rivals)
    return rng.choice(say.FITS[chain.language]).format(rival=rival.text) if rival.compared else None


def _borrowed_finding(chain: Good, rng: random.Random) -> str | None:
    able = [r for r in chain.proof.rivals if r.compared and any(c.present for c in r.missing)]
    if chain.proof.kind != "findings" or not able:
        return None
    rival = rng.choice(able)
    finding = rng.choice([c for c in rival.missing if c.present]).text
    table = say.HAS[chain.language] if not chain.proof.steps else say.LEADS[chain.language]
    return rng.choice(table).format(rival=rival.text, finding=finding)


def _denied_finding(chain: Good, rng: random.Random) -> str | None:
    present = [c.text for c in chain.proof.clues if c.present]
    if chain.proof.kind != "findings" or not present:
        return None
    return rng.choice(say.LACKS[chain.language]).format(finding=rng.choice(present))


def _other_gene(chain: Good, rng: random.Random) -> str | None:
    step = next((s for s in chain.proof.steps if s.relation == "caused_by"), None)
    if step is None:
        return None
    wrong = rng.choice(["BRCA1", "TP53", "CFTR", "SCN1A", "MYH7", "FBN1", "KCNQ1", "HBB"])
    return (
        None if wrong == step.object else rng.choice(say.GENES[chain.language]).format(disease=step.subject, gene=wrong)
    )


def _other_mode(chain: Good, rng: random.Random) -> str | None:
    step = next((s for s in chain.proof.steps if s.relation == "inherited_as"), None)
    if step is None:
        return None
    right = " ".join(chain.proof.names[chain.proof.path[-1]]).casefold()
    wrong = [m for m, names in say.MODES[chain.language].items() if not any(n in right for n in names)]
    return rng.choice(say.INHERITED[chain.language]).format(disease=step.subject, mode=rng.choice(wrong))


def _related_rival(chain: Good, rng: random.Random) -> str | None:
    table = say.RELATED[chain.language].get(chain.proof.family)
    if table is None:
        return None
    return rng.choice(table).format(rival=rng.choice(chain.proof.rivals).text, start=chain.proof.start)


def truncated(chain: Good, others: Sequence[Good], rng: random.Random) -> str | None:
    """Cut off in the middle of a sentence; the tags are there, or not."""
    cut = chain.reasoning[: int(len(chain.reasoning) * rng.uniform(0.3, 0.95))].rstrip()
    while cut and not cut[-1].isalnum():
        cut = cut[:-1]
    if not cut or chain.reasoning[len(cut)] in ".。\n":
        return None
    if rng.random() < 0.4:
        return f"<think>\n{cut}"
    return response(cut, chain.item.letter)


Spoiler = Callable[[Good, Sequence[Good], random.Random], str | None]
KINDS: dict[str, tuple[str, tuple[Spoiler, ...]]] = {
    "leaking": ("leak", (leaking, leaking, leaking, letter_first)),
    "unfaithful": ("faithfulness", (empty_talk, foreign_evidence, other_option, without_bridge)),
    "looping": ("repetition", (looping,)),
    "wrong language": ("language", (wrong_language,)),
    "contradicting": ("graph", (contradicting,)),
    "truncated": ("format", (truncated,)),
}
"""Kind -> (the filter that is to find it, its spoilers)."""


def plant(kind: str, chains: Sequence[Good], number: int, rng: random.Random) -> list[tuple[Good, str]]:
    """`number` spoilt responses of a kind, each with the good chain it was made of."""
    found: list[tuple[Good, str]] = []
    spoilers = KINDS[kind][1]
    for turn in range(20 * number):
        if len(found) == number:
            break
        chain = chains[turn % len(chains)]
        text = rng.choice(spoilers)(chain, chains, rng)
        if text is not None and text != chain.text:
            found.append((chain, text))
    return found
