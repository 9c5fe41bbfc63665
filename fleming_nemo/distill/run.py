"""A whole run: items in, chains out, resumable at any moment."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import read_json, sha256, write_json
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.journal import Journal
from fleming_nemo.distill.judge_endpoint import EndpointJudge
from fleming_nemo.distill.judges import Judgement, graph_judge
from fleming_nemo.distill.loop import Examined, Judge, Plan, distil
from fleming_nemo.distill.proof import is_synthetic
from fleming_nemo.distill.results import write_results
from fleming_nemo.distill.teachers.endpoint import EndpointTeacher
from fleming_nemo.distill.teachers.graph import GraphTeacher
from fleming_nemo.endpoint import Budget, Client, Endpoint, Panel, Session, serve

Tried = tuple[QAItem, list[Examined]]


@dataclass(frozen=True)
class Job:
    """What is to be done. `endpoint` is None for the graph teacher; `judge` is graph, endpoint or none.

    `judge_endpoint` is another server or model than the teacher's; None lets the teacher's judge. The budget holds for
    each of the two.
    """

    items: Path
    out: Path
    plan: Plan
    judge: str = "graph"
    endpoint: Endpoint | None = None
    budget: Budget = Budget()
    max_tokens: int = 4096
    judge_endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        if self.out.suffix == ".jsonl":
            raise UserError(f"--out {self.out}: expected a folder, as a run leaves several files; leave out the name.")
        if self.endpoint is None and not self.plan.told:
            raise UserError(
                "the graph teacher knows the answer and cannot be asked without it; use --mode rationalise."
            )
        if self.endpoint is None and self.judge == "endpoint":
            raise UserError("a judge behind an endpoint needs --endpoint and --model; give them, or --judge graph.")

        if self.judge_endpoint is not None and self.judge != "endpoint":
            raise UserError(f"an endpoint of the judge goes with --judge endpoint, not --judge {self.judge}.")

    @property
    def judges(self) -> Endpoint | None:
        return (self.judge_endpoint or self.endpoint) if self.judge == "endpoint" else None

    def settings(self) -> dict[str, Any]:
        """All that the output depends on; what only changes speed or price is left out, and so is the address."""
        teacher = "endpoint" if self.endpoint else GraphTeacher.name
        model = self.endpoint.model if self.endpoint else GraphTeacher.model
        plan = asdict(self.plan) if self.plan.mode == "passk" else asdict(self.plan) | {"k": 1}
        return (
            {"items": sha256(self.items), "teacher": teacher, "model": model, "judge": self.judge}
            | plan
            | ({"max_tokens": self.max_tokens} if self.endpoint else {})
            | ({"judge_model": self.judge_endpoint.model} if self.judge_endpoint else {})
        )

    def check_folder(self, out: Path) -> None:
        """A folder belongs to one job; another one would mix two kinds of chains, or overwrite other files."""
        path, settings = out / "settings.json", self.settings()
        held = None
        with suppress(OSError, ValueError):
            held = read_json(path)
        if held is None and (out / "funnel.json").exists():
            raise UserError(f"{out} holds the files of another step; give --out a folder of its own.")
        if held is not None and held != settings:
            differ = sorted(key for key in {*held, *settings} if held.get(key) != settings.get(key))
            raise UserError(f"{out} was begun with other settings ({', '.join(differ)}); give another --out.")
        if held is None:
            write_json(path, settings)


def run(job: Job, part: Callable[[Sequence[QAItem]], Sequence[QAItem]] | None = None) -> dict[str, Any]:
    """Distil all items and return the card. Raises UserError when the run has to stop; all that is finished is kept.

    Args:
        part: which of the items this run is about; None for all.
    """
    items = part(_read(job)) if part else _read(job)
    settings = job.settings()
    job.check_folder(job.out)
    with Journal(job.out / "attempts.jsonl") as journal:
        if journal.done != [item.id for item in items[: len(journal.done)]]:
            raise UserError(f"{journal.path} holds other items than {job.items}; give another --out.")
        rest = items[len(journal.done) :]
        with Panel("chains", len(rest)) as panel:
            for item, tried in _work(job, rest, panel):
                journal.append(item.id, [one.row() for one in tried])
                if any(one.accepted for one in tried):
                    panel.accepted()
                else:
                    panel.rejected(tried[-1].filter or "none")
    spenders = {"teacher": job.endpoint, "judge": job.judges}
    prices = {name: (one.price_in, one.price_out) for name, one in spenders.items() if one}
    return write_results(job.out, items, settings, prices)


def one_item(job: Job, client: Client | None, judging: Client | None = None) -> Callable[[QAItem], Awaitable[Tried]]:
    """How an item of the job is distilled. `judging` asks the judge's endpoint where it is not the teacher's."""
    judge = _judge(job, judging or client)
    if job.endpoint is None or client is None:
        graph = GraphTeacher(job.plan.seed)

        async def offline(item: QAItem) -> Tried:
            return item, await distil(item, graph, job.plan, judge)

        return offline
    teacher = EndpointTeacher(client, job.endpoint.model, job.max_tokens)

    async def asked(item: QAItem) -> Tried:
        return item, await distil(item, teacher, job.plan, judge)

    return asked


def checked_items(job: Job) -> list[QAItem]:
    return _read(job)


def _work(job: Job, items: Sequence[QAItem], panel: Panel) -> Iterator[Tried]:
    if job.endpoint is None:
        yield from offline_work(job, items)
        return
    with judging(job, job.out / "judgements") as judge:

        async def one(client: Client, item: QAItem) -> Tried:
            return await one_item(job, client, judge)(item)

        yield from serve(job.endpoint, job.out / "replies", job.budget, items, one, panel)


@contextmanager
def judging(job: Job, folder: Path) -> Iterator[Client | None]:
    """The client of a judge with an endpoint of its own, whose replies stay in `folder`; None without one."""
    if job.judge_endpoint is None:
        yield None
        return
    with Session(job.judge_endpoint, folder, job.budget) as session:
        yield session.client()


def offline_work(job: Job, items: Iterable[QAItem]) -> Iterator[Tried]:
    """Without an endpoint nothing waits: one item after the other."""
    one = one_item(job, None)
    with asyncio.Runner() as runner:
        for item in items:
            yield runner.run(_awaited(one(item)))


async def _awaited(work: Awaitable[Tried]) -> Tried:
    return await work


def _judge(job: Job, client: Client | None) -> Judge | None:
    if job.judge == "none":
        return None
    if job.judge == "endpoint":
        assert client is not None and job.judges is not None
        return EndpointJudge(client, job.judges.model)

    async def by_graph(candidate: Candidate) -> Judgement:
        return graph_judge(candidate)

    return by_graph


def _read(job: Job) -> list[QAItem]:
    items = read_items(job.items)
    if not items:
        raise UserError(f"{job.items} holds no items; build some with data_prep/build_rods.py.")
    if job.judge == "graph":
        strangers = [item for item in items if not is_synthetic(item) and not item.provenance.get("edges")]
        if strangers and job.endpoint is not None:
            raise UserError(
                f"item {strangers[0].id} has no graph to be judged by; use --judge endpoint or --judge none."
            )
    return items
