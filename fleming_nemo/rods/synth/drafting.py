"""From a walk to a proven draft: mask, choose what is shown, prove, and put it into words.

walk      (start, ..., target): the sampled path; the target is asked for
mask      of the nodes in between some are shown at random, at least one never is
findings  where the start is a disease to be diagnosed, findings under which the graph leaves no other diagnosis
words     a name, or now and then a synonym, for everything that is shown; none may give an option or a masked
          node away
"""

import random
from collections import Counter
from collections.abc import Callable

from fleming_nemo.rods.synth.compose import Draft
from fleming_nemo.rods.synth.facts import Clue
from fleming_nemo.rods.synth.moves import move
from fleming_nemo.rods.synth.names import Names, Telltale, holds
from fleming_nemo.rods.synth.options import Member
from fleming_nemo.rods.synth.sampler import Turns
from fleming_nemo.rods.synth.stocks import Stock, Stocks

_TRIES = 2
_SHOWN = 0.25
_SYNONYM = 0.25


class Drafter:
    def __init__(self, stocks: Stocks, names: Names) -> None:
        self._stocks, self._names, self._facts = stocks, names, stocks.facts

    def drafts(
        self, stock: Stock, members: list[Member], size: int, turns: Turns, rng: random.Random, counts: Counter[str]
    ) -> list[Draft]:
        """At most `size` questions that share one option list, each member asked once; none when fewer than two hold.

        Asking every member exactly once is what keeps the options silent: whatever list is shown, each of its members
        is the answer equally often, so a classifier that never sees the stem can only guess. A member that cannot be
        proven leaves the list before it is shown; what was proven against the longer list holds for the shorter one.
        """
        telltale = Telltale([(self._text(stock, m.target), self._names.is_symbol(m.target)) for m in members])
        proven = []
        for member in members:
            counts["tried"] += 1
            draft = self._draft(stock, member, members, telltale, rng, counts)
            if draft is not None:
                proven.append(draft)
            if len(proven) == size:
                break
        kept = [draft.target for draft in proven]
        if len(kept) < 2:
            counts["refused: too few options proven"] += len(kept)
            return []
        for draft in proven:
            turns.done(draft.walk)
            draft.options = kept
            draft.texts |= {node: self._text(stock, node) for node in kept}
            draft.moves = {n: move(self._facts, stock, draft, n) for n in kept if n != draft.target}
        return proven

    def _draft(
        self,
        stock: Stock,
        member: Member,
        members: list[Member],
        telltale: Telltale,
        rng: random.Random,
        counts: Counter[str],
    ) -> Draft | None:
        walk, family = member.walk, stock.family
        wrong = 0
        if family.start != "named" and not family.functional:
            for other in members:
                if other is not member:
                    wrong |= stock.walker.behind_bits(other.target)
        for _ in range(_TRIES):
            bridges = list(walk[:-1] if family.start != "named" else walk[1:-1])
            told = self._told(stock, walk, bridges)
            shown = [n for n in bridges if len(bridges) > 1 and (n in told or rng.random() < _SHOWN)]
            shown = shown[: len(bridges) - 1]
            fits = self._silent(stock, telltale, [n for n in bridges if n not in shown])
            if not all(map(fits, shown)):
                shown = [n for n in bridges if n in told][: len(bridges) - 1]
                fits = self._silent(stock, telltale, [n for n in bridges if n not in shown])
            named = [walk[0]] if family.start == "named" else []
            if not all(map(fits, (*named, *shown))):
                counts["refused: a name gives the answer away"] += 1
                return None
            clues: list[Clue] | None = []
            if family.start != "named":
                fewest = rng.randint(2, 4 if family.start == "bands" else 6)
                clues = self._stocks.finder(family).choose(walk[0], wrong, fewest, fits, rng)
            if clues is not None:
                texts = {n: self._worded(stock, n, fits, rng) for n in (*(c.term for c in clues), *named, *shown)}
                return Draft(family, stock.language, stock.split, walk, clues, texts, shown, [])
        counts["refused: no proof"] += 1
        return None

    def _told(self, stock: Stock, walk: tuple[int, ...], bridges: list[int]) -> list[int]:
        """Bridges that the name of the start holds, such as the gene of a variant: they cannot be masked."""
        if stock.family.start != "named":
            return []
        return [n for n in bridges if (name := self._text(stock, n)) and holds(self._text(stock, walk[0]), name)]

    def _silent(self, stock: Stock, telltale: Telltale, masked: list[int]) -> Callable[..., bool]:
        """A test of nodes (or of texts for them): may be shown, as it tells neither an option nor a masked node."""
        names, hidden = self._names, [text for n in masked if (text := self._text(stock, n))]

        def fits(node: int, text: str | None = None) -> bool:
            if text is None and node not in telltale.nodes:
                text = names.text(node, stock.language)
                telltale.nodes[node] = text is not None and names.alone(node, text) and not telltale.in_text(text)
            silent = telltale.nodes[node] if text is None else names.alone(node, text) and not telltale.in_text(text)
            if not silent or not hidden:
                return silent
            text = text or names.text(node, stock.language) or ""
            return not any(holds(text, name) for name in hidden)

        return fits

    def _worded(self, stock: Stock, node: int, fits: Callable[..., bool], rng: random.Random) -> str:
        """The name of a node, or a synonym that tells no more."""
        if stock.language == "en" and rng.random() < _SYNONYM and not self._names.is_symbol(node):
            others = self._names.other_texts(node)
            if others and fits(node, other := rng.choice(others)):
                return other
        return self._text(stock, node)

    def _text(self, stock: Stock, node: int) -> str:
        return self._names.text(node, stock.language) or ""
