"""Walk the pages of a folder and turn what they state into nodes and edges.

The walk starts from pages about things that the graph knows and goes on to pages about what it met on the way, those
met most often first, until all pages or `max_pages` are read. Pages are taken in waves of a fixed size, so neither
the number of workers nor the speed of answers changes the result.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256
from fleming_nemo.rods.kg.build import Input
from fleming_nemo.rods.kg.names import folded, slug
from fleming_nemo.rods.kg.records import Extract, edge, node
from fleming_nemo.rods.kg.table import Node
from fleming_nemo.rods.kg.text.answers import believed, question
from fleming_nemo.rods.kg.text.endpoint import Endpoint, NoAnswer
from fleming_nemo.rods.kg.text.linker import Linker
from fleming_nemo.rods.kg.text.pages import Page, files_of, passages, read_pages

SOURCE = "text"
WAVE = 16
MOST_KNOWN = 40  # names listed in a question
_GIVE_UP = 8  # passages in a row without an answer


@dataclass(frozen=True, slots=True)
class Reading:
    """Answer to one passage, or the reason why there is none."""

    page: Page
    number: int
    passage: str
    mentioned: tuple[str, ...]
    answer: dict | None
    failure: str = ""


def text_input(folder: Path, endpoint: Endpoint, workers: int, max_pages: int | None, before: list[Input]) -> Input:
    """`before` are the inputs whose nodes the entities are linked to."""
    content = {
        "files": [{"name": str(p.relative_to(folder)), "sha256": sha256(p)} for p in files_of(folder)],
        "model": endpoint.model,
        "max_pages": max_pages,
        "on": {item.name: item.content for item in before},
        "licence": "that of the pages",
    }
    return Input(SOURCE, content, lambda nodes: walk(folder, nodes, endpoint, workers, max_pages), needs_nodes=True)


def walk(
    folder: Path, nodes: list[Node], endpoint: Endpoint, workers: int = 4, max_pages: int | None = None
) -> Extract:
    """Raises UserError when the endpoint refuses, or answers none of several passages in a row."""
    extract = Extract(version=f"{endpoint.model} on {folder.name}")
    linker = Linker(nodes)
    types = {n.id: n.type for n in nodes}
    waiting = {(page.file, page.title): page for page in read_pages(folder, extract.rejects)}
    met: Counter[str] = Counter()
    left = len(waiting) if max_pages is None else min(max_pages, len(waiting))
    new: dict[str, Node] = {}
    silent = 0
    with ThreadPoolExecutor(workers) as pool, tqdm(total=left, desc="pages", disable=None) as bar:
        while left and waiting:
            wave = sorted(waiting, key=lambda key: _order(waiting[key], linker, met))[: min(WAVE, left)]
            tasks = [task for key in wave for task in _tasks(waiting.pop(key), linker)]
            for reading in pool.map(lambda task: _read(endpoint, *task), tasks):
                silent = 0 if reading.answer else silent + 1
                if silent >= _GIVE_UP:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise UserError(
                        f"{endpoint.url}: {reading.failure}; start again when it works, finished answers are kept."
                    )
                _collect(reading, extract, linker, types, new, met)
            left -= len(wave)
            bar.update(len(wave))
    extract.nodes = list(new.values())
    return extract


def _order(page: Page, linker: Linker, met: Counter[str]) -> tuple[int, int, str, str]:
    return -met[folded(page.title)], 0 if linker.named(page.title) else 1, page.file, page.title


def _tasks(page: Page, linker: Linker) -> Iterator[tuple[Page, int, str, tuple[str, ...]]]:
    for number, passage in enumerate(passages(page), 1):
        names = dict.fromkeys(mention.text for mention in linker.mentions(passage))
        yield page, number, passage, tuple(names)[:MOST_KNOWN]


def _read(endpoint: Endpoint, page: Page, number: int, passage: str, mentioned: tuple[str, ...]) -> Reading:
    try:
        answer = endpoint.ask(question(page.title, passage, list(mentioned)))
        return Reading(page, number, passage, mentioned, answer)
    except NoAnswer as failure:
        return Reading(page, number, passage, mentioned, None, str(failure))


def _collect(
    reading: Reading, extract: Extract, linker: Linker, types: dict[str, str], new: dict[str, Node], met: Counter[str]
) -> None:
    row = f"{reading.page.title}, passage {reading.number}"
    met.update(folded(name) for name in reading.mentioned)
    if reading.answer is None:
        extract.complete = False
        extract.rejects.add(reading.page.file, row, "answer", reading.failure, reading.passage)
        return
    found, rejected = believed(reading.answer, reading.passage)
    for field, reason, raw in rejected:
        extract.rejects.add(reading.page.file, row, field, reason, raw)
    for relation in found:
        met.update((folded(relation.subject), folded(relation.object)))
        subject = _node(relation.subject, relation.subject_type, linker, types, new)
        target = _node(relation.object, relation.object_type, linker, types, new)
        evidence = (f"{reading.page.file}, {row}: {relation.sentence}",)
        extract.edges.append(edge(subject, relation.relation, target, SOURCE, evidence, None, relation.negated))


def _node(name: str, node_type: str, linker: Linker, types: dict[str, str], new: dict[str, Node]) -> str:
    """Id of the known node of this name and type, else of a new one."""
    known = linker.named(name)
    if known and types[known] == node_type:
        return known
    identifier = f"TEXT:{node_type}-{slug(name)}"
    new.setdefault(identifier, node(identifier, node_type, name))
    return identifier
