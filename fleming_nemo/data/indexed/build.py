"""Items and chains to an indexed corpus: tokenised in parts by several processes, put together in order.

The parts are cut by lines of the chains alone, so the corpus is the same for any number of processes.  A build that was
killed goes on with the parts that it lacks; only the manifest makes the directory a corpus, and it is written last.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256, write_json
from fleming_nemo.data.indexed import manifest as manifests
from fleming_nemo.data.indexed.assemble import Assembly
from fleming_nemo.data.indexed.format import token_dtype
from fleming_nemo.data.indexed.join import LINES, Inputs, scan
from fleming_nemo.data.indexed.lesson import Rendering, maker, part_file
from fleming_nemo.data.indexed.part import load
from fleming_nemo.data.indexed.workers import Workers
from fleming_nemo.data.tokenizer import ChatTokenizer

WORK = ".building"
_PLAN = "plan.json"


@dataclass(frozen=True)
class Recipe:
    """What a corpus is made of and how."""

    items: Path
    chains: Path
    tokenizer: ChatTokenizer
    system_prompt: str = ""
    pack: int = 0
    """Tokens of a pack; 0 stores no packing plan.  Longer documents are left out and counted."""

    def settings(self) -> dict[str, Any]:
        """As the manifest records them."""
        return {
            "items": str(self.items),
            "chains": str(self.chains),
            "system_prompt": self.system_prompt,
            "pack": self.pack,
        }


def build(recipe: Recipe, folder: Path, workers: int = 0) -> dict[str, Any]:
    """Make `folder` a corpus and return its manifest; one that is finished with these inputs is left as it is.

    Args:
        workers: processes; 0 for as many as this one may use cores.

    Raises:
        UserError: a line of the inputs is bad, the directory holds another corpus, or another build is at work there.
    """
    for path in (recipe.items, recipe.chains):
        if not path.is_file():
            raise UserError(f"there is no file {path}; write it with data_prep/build_rods.py or distill_cot.py")
    work = folder / WORK
    if (folder / manifests.MANIFEST).is_file():
        return _finished(recipe, folder)
    with _alone(work), ThreadPoolExecutor(2) as threads:
        digests = {name: threads.submit(sha256, path) for name, path in _inputs(recipe).items()}
        _start_or_go_on(recipe, work)
        counts, assembly = _tokenise(recipe, folder, work, workers or len(os.sched_getaffinity(0)))
        inputs = {
            name: {"bytes": path.stat().st_size, "sha256": digests[name].result()}
            for name, path in _inputs(recipe).items()
        }
        about = {**counts, "config": recipe.settings(), "inputs": inputs}
        made = assembly.finish(recipe.tokenizer.sha256, about)
    shutil.rmtree(work)
    return made


def _tokenise(recipe: Recipe, folder: Path, work: Path, workers: int) -> tuple[dict[str, Any], Assembly]:
    """Make the parts, and append each as soon as those before it are there."""
    inputs = Inputs(recipe.items, recipe.chains, work / "items.npy")
    rendering = Rendering(recipe.tokenizer.folder, recipe.system_prompt, longest=recipe.pack)
    assembly = Assembly(folder, work, token_dtype(recipe.tokenizer.size), recipe.pack)
    counts: dict[str, Any] = {"sources": {}, "teachers": {}, "rejected": {}}
    done: set[int] = set()
    appended = 0
    with tqdm(desc="tokenise", unit="doc", disable=None) as bar:
        for number in Workers(workers, partial(maker, inputs, rendering, work)).results(scan(inputs)):
            done.add(number)
            while appended in done:
                done.remove(appended)
                part = load(part_file(work, appended))
                assembly.append(part)
                _add(counts, part.marker.counts)
                bar.update(part.marker.documents)
                appended += 1
    return counts, assembly


def _add(counts: dict[str, Any], more: dict[str, Any]) -> None:
    for source, entry in more["sources"].items():
        counts["sources"].setdefault(source, {"items": 0, "licence": entry["licence"]})["items"] += entry["items"]
    for kind in ("teachers", "rejected"):
        for name, count in more[kind].items():
            counts[kind][name] = counts[kind].get(name, 0) + count


def _inputs(recipe: Recipe) -> dict[str, Path]:
    return {"items": recipe.items, "chains": recipe.chains}


def _finished(recipe: Recipe, folder: Path) -> dict[str, Any]:
    made = manifests.check(folder, recipe.tokenizer)
    same = made.get("config") == recipe.settings() and all(
        made["inputs"][name]["sha256"] == sha256(path) for name, path in _inputs(recipe).items()
    )
    if not same:
        raise UserError(f"{folder} holds a corpus made of other inputs; remove it or give --out another directory")
    return made


def _start_or_go_on(recipe: Recipe, work: Path) -> None:
    """Keep the parts of a build that was stopped if they are of these very inputs, else start anew."""
    stats = {name: path.stat() for name, path in _inputs(recipe).items()}
    plan = {
        "lines": LINES,
        "format": manifests.FORMAT,
        "tokenizer_sha256": recipe.tokenizer.sha256,
        **recipe.settings(),
        "inputs": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
    }
    file = work / _PLAN
    if not file.is_file() or read_json(file) != plan:
        for old in work.iterdir():
            if old.name != _LOCK:
                old.unlink()
        write_json(file, plan)


_LOCK = "lock"


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = open(work / _LOCK, "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"cannot write to {work.parent} ({error.strerror}); give --out another directory") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another build is at work in {work.parent}; wait for it") from None
        yield
