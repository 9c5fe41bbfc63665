"""Build a corpus shard by shard: resumable, in parallel, and the same bytes for any number of workers.

    OUT/shards/settings.json     what the shards were made with; other settings are refused
    OUT/shards/sft-00007.jsonl   items
    OUT/shards/sft-00007.json    completion marker with counts, written last: a shard without it is made again
    OUT/items_{sft,rl,heldout}.jsonl, OUT/funnel.json   merged in shard order, without repeated questions

A shard is a function of the graph, the settings and its number. Which shards are needed depends on what earlier ones
yielded, so they are made in rounds until every split has its size.
"""

import gc
import hashlib
import math
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, write_json, write_jsonl
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.kg.table import MANIFEST, KnowledgeGraph
from fleming_nemo.rods.synth.coverage import coverage, under_covered_diseases
from fleming_nemo.rods.synth.generate import Generator
from fleming_nemo.rods.synth.mentions import read_mentions
from fleming_nemo.rods.synth.merge import marker_path, merge, write_shard

ITEM_SHARES = {"sft": 0.8, "rl": 0.1, "heldout": 0.1}
# A round that adds less than this share of what it was to add means that the graph has no more to ask.
_WORTHWHILE = 0.05
# Not a shard, but made like one: what could be asked about at all, for the coverage.
_ASKABLE = ("askable", 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the bytes of a corpus depend on."""

    graph: str
    items: int
    seed: int = 1
    sampler: str = "rare-first"
    mentions: str | None = None
    chinese: float = 0.1
    shard_size: int = 1000

    def record(self) -> dict[str, Any]:
        """With hashes in place of the paths: the same inputs elsewhere give the same corpus."""
        table = _hash(Path(self.mentions)) if self.mentions else None
        return asdict(self) | {"graph": _hash(Path(self.graph) / MANIFEST), "mentions": table}


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
    sizes = _sizes(settings)
    needed = {split: math.ceil(size / settings.shard_size) for split, size in sizes.items()}
    missing = dict(sizes)
    made: dict[str, int] = dict.fromkeys(SPLITS, 0)
    with (
        tqdm(total=settings.items, desc="questions", unit="item", disable=None) as bar,
        _pool(settings, workers) as run,
    ):
        while True:
            jobs = [(split, n) for split in SPLITS for n in range(made[split], needed[split])]
            waiting = [job for job in [*jobs, _ASKABLE] if not marker_path(folder, *job).is_file()]
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
    asked, askable = funnel.pop("asked_about"), read_json(marker_path(folder, *_ASKABLE))
    funnel["coverage"] = coverage(kg, asked, mentions)
    funnel["under_covered_diseases"] = under_covered_diseases(kg, asked, mentions, askable)
    write_json(out / "funnel.json", funnel)
    return funnel


def _sizes(settings: Settings) -> dict[str, int]:
    """Number of items by split."""
    sizes = {split: int(settings.items * share) for split, share in ITEM_SHARES.items()}
    sizes["sft"] += settings.items - sum(sizes.values())
    return sizes


class _pool:
    """`with _pool(settings, workers) as run`: run(jobs) yields the number of items of each finished shard."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings, self._workers = settings, workers
        self._processes: Pool | None = None

    def __enter__(self):
        return self._run

    def _run(self, jobs: list[tuple[str, str, int]]) -> Iterator[int]:
        if not jobs:
            return
        if self._workers == 1:
            _start(self._settings)
            yield from map(_make, jobs)
            return
        if self._processes is None:
            context = multiprocessing.get_context("spawn")
            self._processes = context.Pool(self._workers, _start, (self._settings,))
        yield from self._processes.imap_unordered(_make, jobs)

    def __exit__(self, *exc: object) -> None:
        if self._processes is not None:
            self._processes.terminate()
            self._processes.join()


_generator: tuple[Settings, Generator] | None = None


def _start(settings: Settings) -> None:
    """Load the graph once per process."""
    global _generator
    if _generator is not None and _generator[0] == settings:
        return
    with _uncollected():
        _generator = settings, _generator_of(settings)


def _generator_of(settings: Settings) -> Generator:
    folder = Path(settings.graph)
    kg = KnowledgeGraph.load(folder)
    mentions = read_mentions(Path(settings.mentions)) if settings.mentions else {}
    sources = kg.manifest.get("sources", [])
    rows = sources if isinstance(sources, list) else [{"name": name, **facts} for name, facts in sources.items()]
    licences = {row["name"]: row["licence"] for row in rows if row.get("licence")}
    version = _hash(folder / MANIFEST)[:16]
    return Generator(
        kg, settings.seed, mentions, settings.sampler, version, licences, settings.chinese, _sizes(settings)
    )


def _make(job: tuple[str, str, int]) -> int:
    folder, split, number = Path(job[0]), job[1], job[2]
    assert _generator is not None
    settings, generator = _generator
    with _uncollected():
        if (split, number) == _ASKABLE:
            ids = sorted(generator.kg.ids[node] for node in generator.askable())
            write_jsonl(marker_path(folder, split, number), [ids])
            return 0
        items, counts = generator.shard(split, number, settings.shard_size)
        write_shard(folder, split, number, items, counts)
    return len(items)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cycle collector, which would visit millions of lasting tuples again and again; we make no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); build the graph with data_prep/build_kg.py.") from error
