"""Copies of benchmark questions in disguise, to measure how many a decontamination finds.

Each kind takes an entry and a random source and gives the disguised entry, or None where the entry has nothing that the
disguise could change (no number, one sentence only).
"""

import random
import re
from collections.abc import Callable, Sequence

from fleming_nemo.rods.overlap.entries import Entry

Disguise = Callable[[Entry, random.Random], Entry | None]

_SYNONYMS = {
    "which of the following": "what", "most common": "most frequent", "commonly": "frequently", "caused by": "due to",
    "cause of": "reason for", "seen in": "found in", "associated with": "linked to", "treatment of": "therapy for",
    "drug of choice": "preferred drug", "diagnosis": "diagnostic conclusion", "except": "apart from",
    "patient": "individual", "presents with": "comes with", "presented": "came", "increased": "raised",
    "decreased": "lowered", "man": "male", "woman": "female", "true": "correct",
    "used": "applied", "due to": "because of", "characterized by": "marked by", "likely": "probable",
    "occurs": "happens", "is known as": "is called", "important": "essential", "pain": "ache", "child": "kid",
    "doctor": "physician", "shows": "reveals", "feature": "sign", "features": "signs", "children": "kids",
    "patients": "individuals", "false": "incorrect", "reduce": "lower", "increase": "raise",
    "improve": "enhance", "all of the above": "all of them",
    "none of the above": "none of them", "disease": "illness", "during": "in the course of", "large": "big",
}  # fmt: skip
_GLYPHS: tuple[dict[int, int | str], ...] = (
    {code: code + 0xFEE0 for code in range(0x21, 0x7F)},
    {ord(latin): cyrillic for latin, cyrillic in zip("aeopcx", "аеорсх", strict=True)},
    {ord("e"): "e\u200b", ord("a"): "\u00ada"},
)
_WORDING = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _SYNONYMS), key=len, reverse=True)) + r")\b", re.I)
_SENTENCE = re.compile(r"(?<=[.?!。？！])\s*(?=\S)")


def _verbatim(entry: Entry, rng: random.Random) -> Entry:
    return entry


def _reordered_options(entry: Entry, rng: random.Random) -> Entry | None:
    if len(set(entry.options)) < 2:
        return None
    options = list(entry.options)
    while tuple(options) == entry.options:
        rng.shuffle(options)
    return entry._replace(options=tuple(options))


def _changed_numbers(entry: Entry, rng: random.Random) -> Entry | None:
    def other(match: re.Match[str]) -> str:
        number = int(match[0][:6])
        return str(number + rng.choice([-1, 1, 2, 3, 5]) if number > 3 else number + rng.randint(1, 9))

    changed = re.sub(r"[0-9]+", other, entry.question)
    return entry._replace(question=changed) if changed != entry.question else None


def _dropped_sentence(entry: Entry, rng: random.Random) -> Entry | None:
    sentences = [s for s in _SENTENCE.split(entry.question) if len(s) > 12]
    if len(sentences) < 2:
        return None
    del sentences[rng.randrange(len(sentences) - 1)]
    return entry._replace(question=" ".join(sentences))


def _other_words(text: str, rng: random.Random) -> str:
    return _WORDING.sub(lambda match: _SYNONYMS[match[0].lower()], text)


def _paraphrased_options(entry: Entry, rng: random.Random) -> Entry | None:
    def other(option: str) -> str:
        words = _other_words(option, rng).rstrip(". ").split()
        shape = rng.randrange(4)
        if shape == 0:
            return f"It is {' '.join(words)}"
        if shape == 1 and len(words) > 2:
            return f"{' '.join(words[1:])}, {words[0].lower()}"
        if shape == 2 and len(words) > 3:
            del words[rng.randrange(len(words))]
            return " ".join(words)
        return f"{' '.join(words)} (as described)"

    return entry._replace(options=tuple(map(other, entry.options))) if entry.options else None


def _reworded(entry: Entry, rng: random.Random) -> Entry:
    question = _other_words(entry.question, rng).strip(" :?.")
    question = rng.choice(["{}?", "{} -", "Q. {}", "Please answer: {}", "{}:"]).format(question)
    changes: list[Callable[[str], str]] = [str.upper, str.lower, str.title, str]
    change = rng.choice(changes)
    return entry._replace(question=change(question), options=tuple(change(o).rstrip(".") for o in entry.options))


def _typos(entry: Entry, rng: random.Random) -> Entry | None:
    """One letter in twenty-five doubled, lost or swapped with its neighbour."""
    if len(entry.question) < 40:
        return None
    letters = list(entry.question)
    for _ in range(len(letters) // 25):
        at = rng.randrange(len(letters) - 1)
        letters[at] = rng.choice([letters[at] * 2, "", letters[at + 1] + letters[at]])
    return entry._replace(question="".join(letters))


def _wrapped(entry: Entry, rng: random.Random) -> Entry | None:
    """The question and its options inside a longer prompt; no options left."""
    if len(entry.question) < 40:
        return None
    listed = " ".join(f"({letter}) {text}" for letter, text in zip("ABCDEFGHIJ", entry.options, strict=False))
    prompt = "You are an experienced physician. Think step by step and finish with the letter of the right choice.\n\n"
    return entry._replace(question=f"{prompt}Question: {entry.question}\n{listed}\n\nAnswer:", options=("see above",))


def _glyphs(entry: Entry, rng: random.Random) -> Entry:
    """Full-width or Cyrillic letters, invisible joiners."""
    table = rng.choice(_GLYPHS)
    options = tuple(option.translate(table) for option in entry.options)
    return entry._replace(question=entry.question.translate(table), options=options)


def _spaced(entry: Entry, rng: random.Random) -> Entry:
    """Line breaks, doubled and lost spaces, changed punctuation."""
    words = entry.question.split()
    joined = "".join(word + rng.choice([" ", "  ", "\n", ", ", " - ", "" if len(word) > 3 else " "]) for word in words)
    return entry._replace(question=joined)


def _replaced_distractors(entry: Entry, rng: random.Random) -> Entry | None:
    """Half of the options exchanged for others."""
    if len(entry.options) < 4 or len(entry.question) < 40:
        return None
    options = list(entry.options)
    for at in rng.sample(range(len(options)), len(options) // 2):
        options[at] = rng.choice(["None of these", "Both of them", "Cannot be said", "Observation only"]) + f" {at}"
    return entry._replace(options=tuple(options))


SIX_KINDS: dict[str, Disguise] = {
    "verbatim": _verbatim,
    "reordered options": _reordered_options,
    "changed numbers": _changed_numbers,
    "dropped sentence": _dropped_sentence,
    "paraphrased options": _paraphrased_options,
    "light rewording": _reworded,
}
MORE_KINDS: dict[str, Disguise] = {
    "typing errors": _typos,
    "inside a prompt": _wrapped,
    "other glyphs": _glyphs,
    "other spacing": _spaced,
    "replaced distractors": _replaced_distractors,
}


def plant(
    entries: Sequence[Entry], kinds: dict[str, Disguise], count: int, seed: int = 0
) -> list[tuple[str, str, Entry]]:
    """`count` disguised copies, the kinds in turn: (kind, id of the original, copy with an id of its own).

    Fewer where a kind fits too few entries; each entry is used at most once per kind.
    """
    rng = random.Random(seed)
    planted: list[tuple[str, str, Entry]] = []
    queues = {kind: rng.sample(list(entries), len(entries)) for kind in kinds}
    while len(planted) < count and any(queues.values()):
        for kind, disguise in kinds.items():
            copy = None
            while copy is None and queues[kind]:
                original = queues[kind].pop()
                copy = disguise(original, rng)
            if copy is not None and len(planted) < count:
                planted.append((kind, original.id, copy._replace(id=f"planted-{len(planted)}")))
    return planted
