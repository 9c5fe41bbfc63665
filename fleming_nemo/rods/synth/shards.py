"""Build a corpus shard by shard: resumable, in parallel, and the same bytes for any number of workers.

    OUT/shards/settings.json     what the shards were made with; other settings are refused
    OUT/shards/sft-00007.jsonl   items
    OUT/shards/sft-00007.json    completion marker with counts, written last: a shard without it is made again
    OUT/items_{sft,rl,heldout}.jsonl, OUT/funnel.json   merged in shard order, without repeated questions

A shard is a function of the graph, the settings and its number. Which shards are needed depends on what earlier ones
yielded, so they are made in rounds until every split has its size.
"""

import math
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, write_json
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.coverage import coverage, under_covered_diseases
from fleming_nemo.rods.synth.mentions import read_mentions
from fleming_nemo.rods.synth.merge import marker_path, merge
from fleming_nemo.rods.synth.settings import Settings
from fleming_nemo.rods.synth.workers import ASKABLE, WorkerPool

__all__ = ["Settings", "build"]
# A round that adds less than this share of what it was to add means that the graph has no more to ask.
_WORTHWHILE = 0.05


def build(settings: Settings, out: Path, workers: int = 1) -> dict[str, Any]:
    """Make the corpus and return its funnel.

    Raises UserError when the graph cannot be read, when `out` holds shards made otherwise, or with the number of items
    available when the graph yields fewer than asked for.
    """
    if settings.items < len(SPLITS) or workers < 1 or settings.shard_size < 1:
        raise UserError("ask for at least 3 items, 1 worker and shards of 1 item.")
    if not 0 <= settings.chinese <= 1:
        raise UserError(f"a share of {settings.chinese} Chinese questions makes no sense; give 0 to 1.")
    record, folder = settings.record(), out / "shards"
    if (folder / "settings.json").is_file() and read_json(folder / "settings.json") != record:
        raise UserError(f"{folder} holds shards made with other settings; remove it or choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", record)
    sizes = settings.sizes()
    needed = {split: math.ceil(size / settings.shard_size) for split, size in sizes.items()}
    missing = dict(sizes)
    made: dict[str, int] = dict.fromkeys(SPLITS, 0)
    with (
        tqdm(total=settings.items, desc="questions", unit="item", disable=None) as bar,
        WorkerPool(settings, workers) as run,
    ):
        while True:
            jobs = [(split, n) for split in SPLITS for n in range(made[split], needed[split])]
            waiting = [job for job in [*jobs, ASKABLE] if not marker_path(folder, *job).is_file()]
            for accepted in run([(str(folder), *job) for job in waiting]):
                bar.update(accepted)
            made = dict(needed)
            funnel = merge(folder, out, sizes, made)
            left = {split: sizes[split] - funnel["accepted"][split] for split in SPLITS}
            if not any(left.values()):
                break
            if any(left[s] > (1 - _WORTHWHILE) * missing[s] and missing[s] for s in SPLITS if left[s]):
                raise UserError(
                    f"{settings.items} items were asked for, but the graph yields about "
                    f"{sum(funnel['accepted'].values())}; ask for fewer or enlarge the graph."
                )
            missing = left
            for split in SPLITS:
                needed[split] += math.ceil(1.1 * left[split] / settings.shard_size)
    kg = KnowledgeGraph.load(Path(settings.graph))
    mentions = read_mentions(Path(settings.mentions)) if settings.mentions else {}
    funnel = {"settings": record} | funnel
    asked, askable = funnel.pop("asked_about"), read_json(marker_path(folder, *ASKABLE))
    funnel["coverage"] = coverage(kg, asked, mentions)
    funnel["under_covered_diseases"] = under_covered_diseases(kg, asked, mentions, askable)
    write_json(out / "funnel.json", funnel)
    return funnel
