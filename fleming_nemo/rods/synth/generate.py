"""Make the questions of one shard, each proven by the graph.

topological sampling    quotas.py: which family is asked next; sampler.py: about which entity, rare ones first
walk                    walks.py: a path of one to five relations from what is shown to what is asked
distractors             near.py, options.py: near misses that keep the relations of the answer and can be refuted
random masking, proof   drafting.py with clues.py and bands.py: inference under partial information
wording                 compose.py, wording.py: the question with the provenance of everything in it
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.evidence import SPLITS, stable_hash
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.bands import BandFinder
from fleming_nemo.rods.synth.clues import ClueFinder
from fleming_nemo.rods.synth.compose import compose
from fleming_nemo.rods.synth.drafting import Drafter
from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import FAMILIES
from fleming_nemo.rods.synth.names import LANGUAGES, Names
from fleming_nemo.rods.synth.options import MOST_OPTIONS, OptionLists
from fleming_nemo.rods.synth.quotas import Quotas, Sizes, filled
from fleming_nemo.rods.synth.sampler import Sampler
from fleming_nemo.rods.synth.stocks import Stock, Stocks
from fleming_nemo.rods.synth.walks import Splits


@dataclass(slots=True)
class Generator:
    """Questions over one graph. All draws depend on (seed, split, shard) alone.

    `wanted` holds the number of questions that each split is to have in the end: a family that has less to ask than
    its share of them leaves the rest to the others.
    """

    kg: KnowledgeGraph
    seed: int
    mentions: Mapping[str, int]
    sampler: str
    version: str
    licences: dict[str, str]
    chinese: float = 0.1
    wanted: Mapping[str, int] = field(default_factory=dict)
    facts: Facts = field(init=False)
    names: Names = field(init=False)
    stocks: Stocks = field(init=False)
    _sampler: Sampler = field(init=False)
    _lists: OptionLists = field(init=False)
    _drafter: Drafter = field(init=False)

    def __post_init__(self) -> None:
        self.facts, self.names = Facts(self.kg), Names(self.kg)
        self._sampler = Sampler(self.kg, self.mentions, self.sampler, self.seed)
        splits = Splits(self.facts, self.seed)
        clues, bands = ClueFinder(self.facts), BandFinder(self.facts)
        self.stocks = Stocks(self.facts, self.names, clues, bands, splits, self._sampler)
        self._lists = OptionLists(self.stocks, self.names)
        self._drafter = Drafter(self.stocks, self.names)

    def shard(self, split: str, shard: int, size: int) -> tuple[list[QAItem], Counter[str]]:
        """(items, counts of what was tried and why it was refused); a few items more so that no option list is cut.

        Fewer than `size` when option list after option list yields nothing new.
        """
        rng = random.Random(stable_hash("shard", self.seed, split, shard))
        turns = self._sampler.turns(shard, rng)
        stocks = self.open(split)
        quotas, sizes = Quotas(self._shares(split, stocks)), Sizes()
        seeds = {key: turns.seeds(stock.pool, stock.later) for key, stock in stocks.items()}
        made: dict[str, QAItem] = {}
        counts: Counter[str] = Counter()
        idle = 0
        while quotas and len(made) < size and idle < 50 + size:
            key = quotas.next()
            stock = stocks[key]
            wanted = sizes.draw(min(MOST_OPTIONS, len(stock.pool)), rng)
            members = self._lists.draw(stock, next(seeds[key]), wanted, turns)
            drafts = self._drafter.drafts(stock, members, wanted, turns, rng, counts)
            group = f"{stable_hash('group', self.seed, split, shard, len(made), stock.family.name):016x}"
            items = {i.id: i for d in drafts for i in [compose(self.facts, d, self.version, self.licences, group, rng)]}
            new = items if made.keys().isdisjoint(items) else {}
            made |= new
            sizes.made(len(new))
            quotas.spend(key, len(new))
            idle = 0 if new else idle + 1
        counts["proven"] += len(made)
        return list(made.values()), counts

    def open(self, split: str) -> dict[tuple[str, str], Stock]:
        """(family, language) -> what there is to ask in a split; families with nothing to ask are left out."""
        found = {(f.name, lang): self.stocks.get(f, split, lang) for lang in LANGUAGES for f in FAMILIES}
        return {key: stock for key, stock in found.items() if stock is not None}

    def askable(self) -> set[int]:
        """Every node that lies on the path of a question that could be asked in some split."""
        stocks = [stock for split in SPLITS for stock in self.open(split).values()]
        return {node for s in stocks for target in s.pool for walk in s.walker.walks[target] for node in walk}

    def _shares(self, split: str, stocks: Mapping[tuple[str, str], Stock]) -> dict[tuple[str, str], float]:
        """Shares of the questions of a split by (family, language)."""
        parts = {"en": 1 - self.chinese, "zh": self.chinese}
        whole = {lang: sum(s.family.share for s in stocks.values() if s.language == lang) for lang in LANGUAGES}
        shares = {key: parts[s.language] * s.family.share / whole[s.language] for key, s in stocks.items()}
        shares = {key: share for key, share in shares.items() if share > 0}
        if not self.wanted.get(split):
            return shares
        return filled(shares, {key: stocks[key].capacity / self.wanted[split] for key in shares})
