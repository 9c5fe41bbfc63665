"""What there is to ask: for every family, split and language the targets with their walks and their near misses."""

from dataclasses import dataclass, field

from fleming_nemo.rods.synth.bands import BandFinder
from fleming_nemo.rods.synth.clues import ClueFinder
from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import FINDINGS, Family
from fleming_nemo.rods.synth.names import Names
from fleming_nemo.rods.synth.near import Features, Neighbourhood
from fleming_nemo.rods.synth.sampler import Sampler
from fleming_nemo.rods.synth.walks import Splits, Walker

# Worth asking about one walk: the same path may come back with other findings shown, or with other options.
_QUESTIONS_PER_WALK = {"findings": 10, "bands": 5, "named": 2}


@dataclass(frozen=True, slots=True)
class Stock:
    """What one family has to draw from in one split and language; `pool` holds the targets by their place."""

    family: Family
    split: str
    language: str
    walker: Walker
    pool: list[int]
    near: Neighbourhood
    later: frozenset[int] = frozenset()
    """Diseases that can be left to other families: see sampler.py."""

    @property
    def capacity(self) -> int:
        """Number of questions beyond which the family would repeat itself."""
        return _QUESTIONS_PER_WALK[self.family.start] * sum(len(self.walker.walks[target]) for target in self.pool)


@dataclass(slots=True)
class Stocks:
    facts: Facts
    names: Names
    clues: ClueFinder
    bands: BandFinder
    splits: Splits
    sampler: Sampler
    _features: Features = field(init=False)
    _starts: dict[tuple[str, str], list[int]] = field(init=False, default_factory=dict)
    _known: dict[tuple[str, str, str], Stock | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._features = Features(self.facts)

    def get(self, family: Family, split: str, language: str) -> Stock | None:
        """None when the graph (or the language) has fewer than two targets for the family."""
        key = family.name, split, language
        if key not in self._known:
            walker = Walker(self.facts, family, split, self.splits, self._starts_of(family, language))
            pool = sorted(target for target in walker.walks if self._speakable(target, language))
            near = Neighbourhood(self._features, pool)
            pool.sort(key=self.sampler.place.__getitem__)
            later = frozenset(self._starts_of(FINDINGS, language)) if family.start == "named" else frozenset[int]()
            self._known[key] = Stock(family, split, language, walker, pool, near, later) if len(pool) >= 2 else None
        return self._known[key]

    def finder(self, family: Family) -> ClueFinder | BandFinder:
        """What chooses the findings of a family whose start is described by findings."""
        return self.bands if family.start == "bands" else self.clues

    def _starts_of(self, family: Family, language: str) -> list[int]:
        key = family.start if family.start != "named" else family.start_type, language
        if key not in self._starts:
            nodes = self.facts.kg.of_type(family.start_type).tolist()
            if family.start == "findings":
                nodes = [n for n in nodes if self.clues.provable(n, lambda term: self._named(term, language))]
            elif family.start == "bands":
                nodes = [n for n in nodes if any(self._named(b.clue.term, language) for b in self.bands.pool(n))]
            else:
                nodes = [n for n in nodes if self._speakable(n, language)]
            self._starts[key] = nodes
        return self._starts[key]

    def _named(self, node: int, language: str) -> bool:
        return self.names.text(node, language) is not None

    def _speakable(self, node: int, language: str) -> bool:
        """Whether the node has a name in the language that nothing else of its type goes by."""
        text = self.names.text(node, language)
        return text is not None and self.names.alone(node, text)
