"""Precision and recall of each filter on planted rationales: good chains of synthetic items, spoilt in six ways.

    python benchmarks/cot_filters.py --items data/rods/items_sft.jsonl

A kind counts as found when the filter meant for it objects; a false alarm is a good chain that the filter objects to.
As many good chains as spoilt ones of a kind are examined, half of them in each language where the items allow it. The
last column is what any filter finds. The planting code and its wordings (tests/distill) share nothing with the filters.
"""

import argparse
import random
import sys
import time
from collections import Counter
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distill"))

from planted import HELD_OUT, KINDS, Good, good, plant

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters import FILTERS
from fleming_nemo.distill.judges import graph_judge
from fleming_nemo.distill.proof import is_synthetic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=Path, required=True, help="JSONL file of build_rods.py --items")
    parser.add_argument("--number", type=int, default=400, help="spoilt chains of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--misses", type=int, default=0, metavar="N", help="show up to N misses and false alarms each")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        rng = random.Random(args.seed)
        chains = [good(item, rng) for item in mixed(read_items(args.items), 2 * args.number, rng)]
        report(chains, args.number, rng, args.misses)


def mixed(items: list[QAItem], number: int, rng: random.Random) -> list[QAItem]:
    """Items of both languages by turns, of all families."""
    rng.shuffle(items)
    by_language = [[i for i in items if i.language == name and is_synthetic(i)] for name in ("en", "zh")]
    turns = [item for pair in zip_longest(*by_language) for item in pair if item is not None]
    if len(turns) < 2:
        raise UserError("the file holds no synthetic items; build some with data_prep/build_rods.py --items N.")
    return turns[:number]


def objections(chain: Good, text: str, finished: bool = True) -> dict[str, str]:
    """Every filter that objects, with its reason."""
    candidate = Candidate(chain.item, text, finished)
    found = {name: reason for name, objects in FILTERS.items() if (reason := objects(candidate))}
    judged = graph_judge(candidate).reason
    return found | ({"faithfulness": judged} if judged else {})


def report(chains: list[Good], number: int, rng: random.Random, misses: int) -> None:
    start = time.perf_counter()
    clean = [(chain, objections(chain, chain.text)) for chain in chains[:number]]
    print(
        f"{len(clean)} good chains, {Counter(c.language for c, _ in clean)}, refused: {sum(bool(o) for _, o in clean)}"
    )
    print(f"{'kind':16}{'filter':14}{'planted':>8}{'found':>7}{'alarms':>8}{'precision':>11}{'recall':>8}{'by any':>8}")
    for kind, (name, _) in KINDS.items():
        planted = [(chain, text, objections(chain, text)) for chain, text in plant(kind, chains, number, rng)]
        hits = sum(name in found for *_, found in planted)
        alarms = [(chain, found[name]) for chain, found in clean if name in found]
        precision = hits / (hits + len(alarms)) if hits else 0.0
        by_any = sum(bool(found) for *_, found in planted) / len(planted)
        figures = f"{precision:11.3f}{hits / len(planted):8.3f}{by_any:8.3f}"
        print(f"{kind:16}{name:14}{len(planted):8}{hits:7}{len(alarms):8}{figures}")
        for chain, text, _ in [p for p in planted if name not in p[2]][:misses]:
            print(f"  missed ({chain.item.provenance['family']}, {chain.item.letter}): {text}\n")
        for chain, reason in alarms[:misses]:
            print(f"  false alarm ({reason}): {chain.reasoning}\n")
    unseen(chains, rng, misses)
    print(f"{time.perf_counter() - start:.1f} s")


def unseen(chains: list[Good], rng: random.Random, misses: int) -> None:
    """Leaks in wordings that the filter was not tuned on, each in four chains."""
    print("\nleaks in wordings not tuned on")
    print(f"{'kind':22}{'language':10}{'wordings':>8}{'planted':>9}{'found':>7}{'recall':>8}")
    for plant_one, words in HELD_OUT.items():
        for language, wordings in words.items():
            able = [chain for chain in chains if chain.language == language]
            missed: Counter[str] = Counter()
            for wording in wordings if able else ():
                for chain in rng.choices(able, k=4):
                    missed[wording] += "leak" not in objections(chain, plant_one(chain, wording, rng))
            planted, lost = 4 * len(missed), missed.total()
            kind = plant_one.__name__.removeprefix("with_").replace("_", " ")
            if planted:
                figures = f"{planted:9}{planted - lost:7}{1 - lost / planted:8.3f}"
                print(f"{kind:22}{language:10}{len(wordings):8}{figures}")
            for wording, number in missed.most_common(misses):
                if number:
                    print(f"  missed {number} of 4: {wording}")


if __name__ == "__main__":
    main()
