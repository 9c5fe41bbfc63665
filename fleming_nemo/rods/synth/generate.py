"""Make the questions of one shard: near-miss families of options, each member asked once, every question proven.

Asking every member of an option list exactly once is what keeps the options silent: whatever list is shown, each of
its members is the answer equally often, so a classifier that never sees the stem can only guess. A member that cannot
be proven leaves the list before it is shown; what was proven against the longer list holds for the shorter one.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import stable_hash
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth import bands
from fleming_nemo.rods.synth.clues import ClueFinder
from fleming_nemo.rods.synth.compose import Draft, compose
from fleming_nemo.rods.synth.facts import Clue, Facts
from fleming_nemo.rods.synth.families import FAMILIES, Family
from fleming_nemo.rods.synth.names import Names, Telltale
from fleming_nemo.rods.synth.sampler import Neighbourhood, Weights, seeds
from fleming_nemo.rods.synth.walks import Splits, Walker

# Share of questions by number of options; 4, 5, 10 and 21 are what the benchmarks have.
_SIZES = {n: 0.02 for n in range(2, 22)} | {4: 0.30, 5: 0.15, 10: 0.12, 21: 0.10}
_TRIES = 4


@dataclass(slots=True)
class Stock:
    """What one family has to draw from in one split and language."""

    walker: Walker
    pool: list[int]
    near: Neighbourhood
    number: int = 0


@dataclass(slots=True)
class Generator:
    """Questions over one graph. All draws depend on (seed, split, shard) alone."""

    kg: KnowledgeGraph
    seed: int
    mentions: Mapping[str, int]
    sampler: str
    version: str
    licences: dict[str, str]
    chinese: float = 0.1
    facts: Facts = field(init=False)
    names: Names = field(init=False)
    finder: ClueFinder = field(init=False)
    _weights: Weights = field(init=False)
    _splits: Splits = field(init=False)
    _starts: dict[tuple[str, str], list[int]] = field(init=False, default_factory=dict)
    _stocks: dict[tuple[str, str, str], Stock | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.facts, self.names = Facts(self.kg), Names(self.kg)
        self.finder = ClueFinder(self.facts)
        self._weights = Weights(self.facts, self.mentions, self.sampler)
        self._splits = Splits(self.facts, self.seed)

    def shard(self, split: str, shard: int, size: int) -> tuple[list[QAItem], Counter[str]]:
        """(items, counts of what was tried and why it was refused); a few items more so that no option list is cut.

        Fewer than `size` when option list after option list yields nothing new.
        """
        rng = random.Random(stable_hash("shard", self.seed, split, shard))
        made: dict[str, QAItem] = {}
        counts: Counter[str] = Counter()
        streams: dict[tuple[str, str], Any] = {}
        idle = 0
        while len(made) < size and idle < 50 + size:
            before = len(made)
            language = "zh" if rng.random() < self.chinese else "en"
            family = rng.choices(FAMILIES, [f.share for f in FAMILIES])[0]
            stock = self.stock(family, split, language)
            if stock is None:
                counts[f"nothing to ask: {family.name}, {language}"] += 1
                idle += 1
                continue
            if (family.name, language) not in streams:
                offset = stable_hash("seeds", self.seed, family.name, split, language) / 2**64
                streams[family.name, language] = iter(seeds(stock.pool, self._weights, shard * size, offset))
            lists = self._option_list(stock, next(streams[family.name, language]), rng)
            drafts = self._drafts(stock, lists, split, language, rng, counts)
            group = f"{stable_hash('group', self.seed, split, shard, len(made), family.name):016x}"
            items = {i.id: i for d in drafts for i in [compose(self.facts, d, self.version, self.licences, group, rng)]}
            if made.keys().isdisjoint(items):
                made |= items
            idle = 0 if len(made) > before else idle + 1
        counts["proven"] += len(made)
        return list(made.values()), counts

    def stock(self, family: Family, split: str, language: str) -> Stock | None:
        """None when the graph (or the language) has fewer than two targets for the family."""
        key = family.name, split, language
        if key not in self._stocks:
            walker = Walker(self.facts, family, split, self._splits, self._starts_of(family, language))
            pool = sorted(t for t in walker.walks if self._fit(t, language))
            usable = len(pool) >= 2
            self._stocks[key] = (
                Stock(walker, pool, Neighbourhood(self.facts, family.target_type, pool)) if usable else None
            )
        return self._stocks[key]

    def _starts_of(self, family: Family, language: str) -> list[int]:
        key = family.start if family.start != "named" else family.start_type, language
        if key not in self._starts:
            nodes = self.kg.of_type(family.start_type).tolist()
            if family.start == "findings":
                nodes = [n for n in nodes if self.finder.provable(n)]
            elif family.start == "bands":
                nodes = [n for n in nodes if self.finder.banded(n)]
            elif language == "zh" or family.start == "named":
                nodes = [n for n in nodes if self._fit(n, language)]
            self._starts[key] = nodes
        return self._starts[key]

    def _fit(self, node: int, language: str) -> bool:
        text = self.names.text(node, language)
        return text is not None and self.names.alone(node, text)

    def _option_list(self, stock: Stock, seed: int, rng: random.Random) -> list[int]:
        """The seed and near misses of it, none of which could pass for another."""
        size = rng.choices(list(_SIZES), [share / n for n, share in _SIZES.items()])[0]
        chosen = [seed]
        barred = self.names.twins(seed) | self.facts.related(seed)
        for node in stock.near.draw(seed, 2 * size + 2, self._weights, rng):
            if node not in barred and len(chosen) < size + size // 3 + 1:
                chosen.append(node)
                barred |= self.names.twins(node) | self.facts.related(node)
        return chosen

    def _drafts(
        self, stock: Stock, options: list[int], split: str, language: str, rng: random.Random, counts: Counter[str]
    ) -> list[Draft]:
        proven = []
        telltale = Telltale([(self.names.text(n, language) or "", self.names.is_symbol(n)) for n in options])
        for target in options:
            counts["tried"] += 1
            draft = self._draft(stock, target, options, telltale, split, language, rng, counts)
            if draft is not None:
                proven.append(draft)
        kept = [draft.target for draft in proven][:21]
        if len(kept) < 2:
            counts["refused: too few options proven"] += len(kept)
            return []
        for draft in proven[:21]:
            draft.options = kept
            draft.texts |= {node: self.names.text(node, language) or "" for node in kept}
            draft.moves = {n: self._move(stock, draft, n) for n in kept if n != draft.target}
        return proven[:21]

    def _draft(
        self,
        stock: Stock,
        target: int,
        options: list[int],
        telltale: Telltale,
        split: str,
        language: str,
        rng: random.Random,
        counts: Counter[str],
    ) -> Draft | None:
        walker, family = stock.walker, stock.walker.family
        walks = walker.walks[target]
        others = [n for n in options if n != target]
        reason = "no walk"
        for walk in rng.sample(walks, min(_TRIES, len(walks))):
            right = walker.forward(walk[0])
            if not right.isdisjoint(others) or (family.functional and len(right) > 1):
                reason = "a second right option"
            elif not set(walk[:-1]).isdisjoint(options):
                reason = "a masked node among the options"
            elif family.start == "named" and not walker.wide(walk[0]).isdisjoint(others):
                reason = "an option too close to a right one"
            else:
                clues = self._clues(stock, walk, others, telltale, language, rng)
                draft = clues if clues is None else self._worded(family, walk, clues, telltale, split, language, rng)
                if draft is not None:
                    return draft
                reason = "no proof" if clues is None else "a name gives the answer away"
        counts[f"refused: {reason}"] += 1
        return None

    def _clues(
        self,
        stock: Stock,
        walk: tuple[int, ...],
        others: list[int],
        telltale: Telltale,
        language: str,
        rng: random.Random,
    ) -> list[Clue] | None:
        family, disease = stock.walker.family, walk[0]
        if family.start == "named":
            return []

        def fits(term: int) -> bool:
            if term not in telltale.nodes:
                text = self.names.text(term, language)
                telltale.nodes[term] = text is not None and not telltale.in_text(text)
            return telltale.nodes[term]

        if family.start == "bands":
            pool = [c for c in self.finder.banded(disease) if fits(c.term)]
            return bands.choose(self.facts, pool, others, rng.randint(2, 4), rng)
        wrong = set() if family.functional else set().union(*map(stock.walker.behind, others))
        return self.finder.choose(disease, self.facts.bits(wrong), rng.randint(2, 6), fits, rng)

    def _worded(
        self,
        family: Family,
        walk: tuple[int, ...],
        clues: list[Clue],
        telltale: Telltale,
        split: str,
        language: str,
        rng: random.Random,
    ) -> Draft | None:
        """Names for everything shown, some of them synonyms; some bridges unmasked. None when a name leaks."""
        bridges = list(walk[:-1] if family.start != "named" else walk[1:-1])
        shown = [n for n in bridges if len(bridges) > 1 and rng.random() < 0.25][: len(bridges) - 1]
        visible = [c.term for c in clues] + ([walk[0]] if family.start == "named" else []) + shown
        texts: dict[int, str] = {}
        hidden = Telltale([(t, True) for n in bridges if n not in shown and (t := self.names.text(n, language))])
        for node in visible:
            text = self.names.text(node, language)
            others = self.names.other_texts(node) if language == "en" and rng.random() < 0.25 else []
            if others and not self.names.is_symbol(node):
                text = rng.choice(others)
            if text is None or telltale.in_text(text) or hidden.in_text(text) or not self.names.alone(node, text):
                return None
            texts[node] = text
        return Draft(family, language, split, walk, clues, texts, shown, [])

    def _move(self, stock: Stock, draft: Draft, option: int) -> dict[str, Any]:
        """What the option has in common with what is asked, and where it departs."""
        ids, family = self.kg.ids, stock.walker.family
        if not draft.clues:
            return {"move": f"another {family.target_type} of the same kind", "via": None, "shared": [], "missing": []}
        diseases = [] if family.functional else [n for n in stock.walker.behind(option) if n != draft.walk[0]]
        best: tuple[int, list[Clue], int | None] = (-1, [], None)
        for disease in sorted(diseases)[:50]:
            bit = 1 << self.facts.slot[disease]
            having = [c for c in draft.clues if bool(self.facts.has[c.term] & bit) == c.present]
            if draft.family.start == "bands":
                having = [c for c in draft.clues if not bands.contradicts(self.facts, disease, c)]
            if len(having) > best[0]:
                best = len(having), having, disease
        shared = [ids[c.term] for c in best[1]]
        return {
            "move": f"leads back to a disease that fits {len(shared)} of {len(draft.clues)} clues",
            "via": ids[best[2]] if best[2] is not None else None,
            "shared": shared,
            "missing": [ids[c.term] for c in draft.clues if ids[c.term] not in shared],
        }
