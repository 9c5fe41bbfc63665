"""Which entities a corpus asks about, next to the curated data before it and to uniform sampling of the same size."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleming_nemo.data.files import read_json, write_json
from fleming_nemo.rods.card.coverage import Entity, coverage
from fleming_nemo.rods.corpus.slim import read_synthesised
from fleming_nemo.rods.corpus.synthesis import synthesise
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.stages import Shard, run_shards
from fleming_nemo.rods.synth.merge import marker_path
from fleming_nemo.rods.synth.settings import Settings
from fleming_nemo.rods.synth.workers import ASKABLE

_TYPES = ("disease", "drug", "gene", "mechanism", "variant")


def covered(
    kg: KnowledgeGraph,
    mentions: Mapping[str, int],
    asked: Iterable[tuple[str, ...]],
    askable: set[str],
    uniform: set[str] | None,
) -> dict[str, Any]:
    """By type: rare entities before and after. An entity is covered when a question's path leads over it.

    `askable` are the entities that the graph knows enough of for some question to be proven about them.
    """
    after = Counter(mentions)
    for path in asked:
        after.update(set(path))
    entities = [Entity(i, kind, ()) for i, kind in zip(kg.ids, kg.types, strict=True) if kind in _TYPES]
    table = coverage(entities, Counter(mentions), after)
    for kind, row in table.items():
        rare = {e.id for e in entities if e.type == kind and mentions.get(e.id, 0) < row["rare_below"]}
        row["rare_askable"] = len(rare & askable)
        if uniform is not None:
            row["rare_covered_uniform"] = sum(i in uniform or mentions.get(i, 0) > 0 for i in rare)
    return table


def askable_entities(synthesis: Path) -> set[str]:
    """What `rods.synth` found that questions can be asked about."""
    return set(read_json(marker_path(synthesis / "shards", *ASKABLE)))


def uniformly_asked(settings: Settings, work: Path, workers: int) -> set[str]:
    """Entities on the paths of a corpus like that of `settings`, but drawn without regard to rarity.

    The questions themselves are thrown away; what they asked about stays, so that this is done once.
    """
    settings = replace(settings, sampler="uniform")
    stage = Shard(work / "uniformly_asked", uniform_step, (settings, work, workers), settings.record())
    run_shards([stage], 1, "uniform sampling, for comparison")
    return set(read_json(stage.folder / "asked.json"))


def uniform_step(folder: Path, settings: Settings, work: Path, workers: int) -> dict[str, Any]:
    """Identifiers in asked.json."""
    synthesis, _ = synthesise(settings, work, workers)
    asked = {node for path in read_synthesised(synthesis).paths for node in path}
    write_json(folder / "asked.json", sorted(asked))
    shutil.rmtree(synthesis)
    return {"asked about": len(asked)}
