"""Processes that make shards; each loads the graph once."""

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path

from fleming_nemo.data.files import write_jsonl
from fleming_nemo.rods.kg.table import MANIFEST, KnowledgeGraph
from fleming_nemo.rods.synth.generate import Generator
from fleming_nemo.rods.synth.mentions import read_mentions
from fleming_nemo.rods.synth.merge import marker_path, write_shard
from fleming_nemo.rods.synth.settings import Settings, digest

Job = tuple[str, str, int]
"""(folder, split, number of the shard)."""
ASKABLE = ("askable", 0)
"""Not a shard, but made like one: the ids of everything that could be asked about, for the coverage."""


class WorkerPool:
    """`with WorkerPool(settings, workers) as run`: run(jobs) yields the number of items of each finished shard."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings, self._workers = settings, workers
        self._processes: Pool | None = None

    def __enter__(self) -> Callable[[list[Job]], Iterator[int]]:
        return self._run

    def _run(self, jobs: list[Job]) -> Iterator[int]:
        if not jobs:
            return
        if self._workers == 1:
            _start(self._settings)
            yield from map(make, jobs)
            return
        if self._processes is None:
            context = multiprocessing.get_context("spawn")
            self._processes = context.Pool(self._workers, _start, (self._settings,))
        yield from self._processes.imap_unordered(make, jobs)

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
    with uncollected():
        _generator = settings, generator_of(settings)


def generator_of(settings: Settings) -> Generator:
    """A generator over the graph of the settings; most of its preparation waits for the first shard of a split."""
    folder = Path(settings.graph)
    kg = KnowledgeGraph.load(folder)
    mentions = read_mentions(Path(settings.mentions)) if settings.mentions else {}
    sources = kg.manifest.get("sources", [])
    rows = sources if isinstance(sources, list) else [{"name": name, **facts} for name, facts in sources.items()]
    licences = {row["name"]: row["licence"] for row in rows if row.get("licence")}
    version = digest(folder / MANIFEST)[:16]
    return Generator(
        kg, settings.seed, mentions, settings.sampler, version, licences, settings.chinese, settings.sizes()
    )


def make(job: Job) -> int:
    """Make one shard, or the list of what could be asked about, and leave its marker; return its number of items."""
    folder, split, number = Path(job[0]), job[1], job[2]
    assert _generator is not None
    settings, generator = _generator
    with uncollected():
        if (split, number) == ASKABLE:
            ids = sorted(generator.kg.ids[node] for node in generator.askable())
            write_jsonl(marker_path(folder, split, number), [ids])
            return 0
        items, counts = generator.shard(split, number, settings.shard_size)
        write_shard(folder, split, number, items, counts)
    return len(items)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cycle collector, which would visit millions of lasting tuples again and again; we make no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
