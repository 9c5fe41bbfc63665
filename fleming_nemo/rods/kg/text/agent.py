"""Walk the pages of a folder and turn what they state into nodes and edges.

The walk starts from pages about things that the graph knows and goes on to pages about what it met on the way, those
met most often first, until all pages or `max_pages` are read. Pages are taken in waves of a fixed size, so neither
the number of workers nor the speed of answers changes the result.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.data.files import sha256
from fleming_nemo.endpoint import Budget, Client, Endpoint, NoAnswer, Panel, Reply, Request, Session
from fleming_nemo.rods.kg.build import Input
from fleming_nemo.rods.kg.names import folded, slug
from fleming_nemo.rods.kg.records import Extract, edge, node
from fleming_nemo.rods.kg.table import Node
from fleming_nemo.rods.kg.text.answers import believed, question
from fleming_nemo.rods.kg.text.linker import Linker
from fleming_nemo.rods.kg.text.pages import Page, files_of, passages, read_pages

SOURCE = "text"
WAVE = 16
MOST_KNOWN = 40  # names listed in a question
MAX_TOKENS = 2048  # of one answer


_Task = tuple[Page, int, str, tuple[str, ...]]
"""Page, number of the passage in it, the passage, names of the graph that occur in it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Answer to one passage, or the reason why there is none, also in a few words."""

    page: Page
    number: int
    passage: str
    mentioned: tuple[str, ...]
    answer: Reply | None
    failure: str = ""
    kind: str = ""


def text_input(
    folder: Path, endpoint: Endpoint, answers: Path, budget: Budget, max_pages: int | None, before: list[Input]
) -> Input:
    """`before` are the inputs whose nodes the entities are linked to; `answers` is the folder of finished calls."""
    content = {
        "files": [{"name": str(p.relative_to(folder)), "sha256": sha256(p)} for p in files_of(folder)],
        "model": endpoint.model,
        "max_pages": max_pages,
        "on": {item.name: item.content for item in before},
        "licence": "that of the pages",
    }

    def read(nodes: list[Node]) -> Extract:
        return walk(folder, nodes, endpoint, answers, budget, max_pages)

    return Input(SOURCE, content, read, needs_nodes=True)


def walk(
    folder: Path,
    nodes: list[Node],
    endpoint: Endpoint,
    answers: Path,
    budget: Budget | None = None,
    max_pages: int | None = None,
) -> Extract:
    """Raises UserError as `endpoint.serve` does: key refused, budget used up, endpoint away."""
    extract = Extract(version=f"{endpoint.model} on {folder.name}")
    linker = Linker(nodes)
    types = {n.id: n.type for n in nodes}
    waiting = {(page.file, page.title): page for page in read_pages(folder, extract.rejects)}
    met: Counter[str] = Counter()
    left = len(waiting) if max_pages is None else min(max_pages, len(waiting))
    new: dict[str, Node] = {}
    with Panel("pages", left) as panel, Session(endpoint, answers, budget or Budget(), panel.tally) as session:
        while left and waiting:
            wave = sorted(waiting, key=lambda key: _order(waiting[key], linker, met))[: min(WAVE, left)]
            tasks = [task for key in wave for task in _tasks(waiting.pop(key), linker)]
            failed: dict[tuple[str, str], str] = {}
            for reading in session.run(tasks, _read):
                if reading.answer is None:
                    failed[reading.page.file, reading.page.title] = reading.kind
                _collect(reading, extract, linker, types, new, met)
            for key in wave:
                if key in failed:
                    panel.rejected(failed[key])
                else:
                    panel.accepted()
            left -= len(wave)
    extract.nodes = list(new.values())
    return extract


def _order(page: Page, linker: Linker, met: Counter[str]) -> tuple[int, int, str, str]:
    return -met[folded(page.title)], 0 if linker.named(page.title) else 1, page.file, page.title


def _tasks(page: Page, linker: Linker) -> Iterator[_Task]:
    for number, passage in enumerate(passages(page), 1):
        names = dict.fromkeys(mention.text for mention in linker.mentions(passage))
        yield page, number, passage, tuple(names)[:MOST_KNOWN]


async def _read(client: Client, task: _Task) -> Reading:
    page, _, passage, mentioned = task
    messages = tuple(question(page.title, passage, list(mentioned)))
    try:
        return Reading(*task, await client.ask(Request(messages, temperature=0.0, max_tokens=MAX_TOKENS)))
    except NoAnswer as failure:
        return Reading(*task, None, str(failure), failure.kind)


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
