"""Put a proof into words: six styles, each in English and Chinese, all draws from the generator handed in.

    forward      what is shown -> what it leads to -> the answer, then a look at the closest options
    elimination  every option in turn, struck out by what its record lacks
    backward     from the options back to what is shown
    hypothesis   the closest wrong option first, dropped on its discriminating evidence, then the right one verified
    table        a differential table, and what can be read off it
    contrast     the right one beside its closest rival, with shares of patients where they are recorded

Only facts of the proof are stated: a relation of the path, a finding on record, a record that is missing.
"""

import random
from collections.abc import Callable, Sequence

from fleming_nemo.distill.proof import Proof, Rival
from fleming_nemo.distill.voice import Voice

_CLOSEST = 2


def _rest(voice: Voice, rivals: Sequence[Rival], said: Sequence[Rival]) -> list[str]:
    """One sentence for the wrong options not looked at; it compares only where there is something to compare."""
    left = sorted(rival.letter for rival in rivals if rival not in said)
    if len(left) < 2:
        return [voice.against(rival) for rival in rivals if rival not in said]
    fewest = min((len(rival.shared) for rival in said if rival.compared), default=0)
    less = all(len(r.shared) < fewest for r in rivals if r not in said) and voice.proof.kind == "findings"
    key = "rest" if less and all(r.compared for r in rivals) else "rest plain"
    return [voice.say(key, letters=voice.listed(left, most=99))]


def _forward(voice: Voice) -> list[str]:
    rivals = voice.closest()
    said = voice.opening() + voice.diagnosis() + voice.details(2) + voice.walk()
    return said + [voice.against(rival) for rival in rivals[:_CLOSEST]] + _rest(voice, rivals, rivals[:_CLOSEST])


def _elimination(voice: Voice) -> list[str]:
    proof = voice.proof
    said = voice.opening() + (voice.diagnosis() + voice.walk() if proof.steps else []) + [voice.say("in turn")]
    against = {rival.letter: voice.against(rival, voice.labelled(rival.letter, rival.text)) for rival in proof.rivals}
    against[proof.letter] = voice.say("keeps", option=voice.labelled(proof.letter, proof.answer))
    said += [against[letter] for letter in sorted(against)]
    return said if proof.steps else said + voice.diagnosis()


def _backward(voice: Voice) -> list[str]:
    rivals = voice.closest()
    said = voice.opening() + [voice.say("backwards")]
    said += [voice.against(rival) for rival in rivals[:_CLOSEST]] + _rest(voice, rivals, rivals[:_CLOSEST])
    return said + [voice.say("closes", answer=voice.proof.answer)] + voice.walk()[::-1] + voice.diagnosis()


def _hypothesis(voice: Voice) -> list[str]:
    rivals = voice.closest()
    first = rivals[0]
    said = voice.opening() + [voice.say("idea", option=first.text), voice.against(first), voice.say("idea fails")]
    said += [voice.say("next idea", node=voice.proof.bridges[0] if voice.proof.bridges else voice.proof.answer)]
    return said + voice.diagnosis() + voice.walk() + [voice.say("idea holds")] + _rest(voice, rivals, [first])


def _table(voice: Voice) -> list[str]:
    proof = voice.proof
    rows = {r.letter: voice.against(r, voice.labelled(r.letter, r.text), table=True) for r in proof.rivals}
    compared = proof.kind != "named" and all(rival.compared for rival in proof.rivals)
    key = "row answer" if compared else "row answer named"
    rows[proof.letter] = voice.say(key, option=voice.labelled(proof.letter, proof.answer))
    table = "\n".join([voice.say("table"), *(rows[letter] for letter in sorted(rows))]) + "\n"
    said = voice.opening() + voice.diagnosis() + voice.walk()
    return [voice.joined(said) + "\n" + table + voice.say("read off", option=proof.answer)]


def _contrast(voice: Voice) -> list[str]:
    rivals = voice.closest()
    said = voice.opening() + [voice.against(rivals[0])] + voice.diagnosis() + voice.shares(2) + voice.walk()
    return said + _rest(voice, rivals, rivals[:1])


STYLES: dict[str, Callable[[Voice], list[str]]] = {
    "forward": _forward,
    "elimination": _elimination,
    "backward": _backward,
    "hypothesis": _hypothesis,
    "table": _table,
    "contrast": _contrast,
}


def verbalise(proof: Proof, style: str, rng: random.Random) -> str:
    """The reasoning, with its conclusion as the last sentence. KeyError for a style there is none of."""
    voice = Voice(proof, rng)
    return voice.joined([*STYLES[style](voice), voice.conclusion()])
