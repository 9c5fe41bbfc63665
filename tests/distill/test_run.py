"""Whole runs: with the graph teacher, against a server that misbehaves on purpose, and killed on the way."""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path

import distill_cot
import pytest
from endpoint.server import Garbage, Half, Hang, Server, Status, completion
from planted import response

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_jsonl
from fleming_nemo.data.items import read_items
from fleming_nemo.distill.chains import read_chains
from fleming_nemo.distill.loop import Plan
from fleming_nemo.distill.run import Job, run
from fleming_nemo.distill.teachers import Ask
from fleming_nemo.distill.teachers.graph import GraphTeacher
from fleming_nemo.endpoint import Endpoint, Key

SCRIPT = Path(__file__).parents[2] / "data_prep" / "distill_cot.py"
FILES = ("cot.jsonl", "rejected.jsonl", "attempts.jsonl", "funnel.json", "card.json")
KEY = "sk-very-secret-0123456789"


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def digests(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def both_languages(corpus, english, chinese):
    items = read_items(corpus)
    first = {name: [item for item in items if item.language == name] for name in ("en", "zh")}
    return [item for pair in zip_longest(first["en"][:english], first["zh"][:chinese]) for item in pair if item]


@pytest.fixture(scope="module")
def some(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    write_jsonl(path, [asdict(item) for item in both_languages(corpus, 14, 8)])
    return path


@pytest.fixture(scope="module")
def many(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    write_jsonl(path, [asdict(item) for item in both_languages(corpus, 50, 30)])
    return path


def expert(item):
    """A good rationale, as a capable model would write it."""
    return asyncio.run(GraphTeacher(7).reason(item, Ask("solve"))).text


FAULTS = {
    0: [],
    1: [Status(429, "slow down", {"Retry-After": "0"})],
    2: [Status(500, "oops"), Status(503, "oops")],
    3: [Hang(1.2)],
    4: [Half()],
    5: [Garbage(), Garbage(b'{"choices": [')],
}
"""What a call meets before it is answered, by the number of its item."""
BAD = {6: "empty", 7: "wrong language", 8: "wrong answer", 9: "cut off", 10: "refused"}


class Model:
    """A server's behaviour: some items are answered well after a fault or two, others badly for good."""

    def __init__(self, path):
        self.items = read_items(path)
        self.kinds = {item.id: number % 11 for number, item in enumerate(self.items)}
        self.good = {item.id: expert(item) for item in self.items}

    def item(self, body):
        text = body["messages"][0]["content"]
        return max(
            (i for i in self.items if i.question in text and all(o in text for o in i.options)),
            key=lambda i: len(i.question),
        )

    def __call__(self, body, nth):
        item = self.item(body)
        kind = self.kinds[item.id]
        if nth <= len(FAULTS.get(kind, ())):
            return FAULTS[kind][nth - 1]
        if kind not in BAD:
            return self.good[item.id]
        if kind == 10:
            return Status(400, {"error": {"message": "content management policy", "code": "content_filter"}})
        wrong = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(item.answer + 1) % len(item.options)]
        return {
            6: "<think>\n\n</think>\n\n<answer>" + item.letter + "</answer>",
            7: response(
                "Les signes ne sont pas dans le tableau et il faut donc choisir cette option pour la suite." * 3,
                item.letter,
            ),
            8: self.good[item.id].replace(f"<answer>{item.letter}", f"<answer>{wrong}"),
            9: completion(self.good[item.id][:60], finish="length"),
        }[kind]


def job(server, items, out, **plan):
    endpoint = Endpoint(
        server.url, "tiny", Key(KEY), concurrency=4, timeout_s=1, attempts=4, pause_s=0.01, price_in=1.0
    )
    return Job(items, out, Plan(**{"mode": "rationalise", "rounds": 2} | plan), "graph", endpoint)


def test_the_graph_teacher_accepts_and_labels_all(many, tmp_path):
    card = run(Job(many, tmp_path / "out", Plan()))
    chains = read_chains(tmp_path / "out" / "cot.jsonl")
    assert len(chains) == card["accepted"] >= 0.99 * card["items"]
    assert {c.teacher for c in chains} == {"graph-offline"} and all(
        c.provenance["faithful_by"] == "graph" for c in chains
    )
    assert len({c.style for c in chains}) >= 5 and card["cost"] == 0
    funnel = json.loads((tmp_path / "out" / "funnel.json").read_text())
    assert funnel["attempts"]["all"] == sum(s["stopped"] for s in funnel["filters"].values()) + card["accepted"]
    run(Job(many, tmp_path / "again", Plan()))
    assert digests(tmp_path / "out") == digests(tmp_path / "again")


@pytest.mark.parametrize("mode", ["rationalise", "passk"])
def test_every_item_ends_accepted_or_rejected_with_a_reason(some, tmp_path, mode, capfd):
    model = Model(some)
    with Server(model) as server:
        card = run(job(server, some, tmp_path, mode=mode, k=2))
    accepted = {row["item_id"] for row in rows(tmp_path / "cot.jsonl")}
    rejected = {row["item_id"]: row for row in rows(tmp_path / "rejected.jsonl")}
    assert accepted | rejected.keys() == set(model.kinds) and not accepted & rejected.keys()
    assert card["accepted"] + card["rejected"] == len(model.items)
    filters = {6: "format", 7: "language", 8: "answer", 9: "format", 10: "endpoint"}
    for item_id, kind in model.kinds.items():
        assert (item_id in accepted) == (kind not in BAD), (kind, rejected.get(item_id))
        if kind in BAD:
            assert rejected[item_id]["filter"] == filters[kind] and rejected[item_id]["reason"]
    for name, begun in server.begun.items():
        kind = model.kinds[model.item(json.loads(name)).id]
        assert begun == 1 + len(FAULTS.get(kind, ())), "each distinct request once, and its retries"
        assert (server.finished[name] > 0) == (kind != 10), "a reply that came too late may count as well"
    drafts = 1 if mode == "rationalise" else 2
    tried = Counter(row["item_id"] for row in rows(tmp_path / "attempts.jsonl"))
    for item_id, kind in model.kinds.items():
        assert tried[item_id] == drafts + (2 if kind in (6, 7, 8, 9) else 0)
    everything = "".join(p.read_text(encoding="utf-8", errors="replace") for p in tmp_path.rglob("*") if p.is_file())
    assert KEY not in everything + "".join(capfd.readouterr()) and card["cost"] > 0


def test_refinement_rescues_an_item_and_says_so(some, tmp_path):
    model = Model(some)
    with Server(
        lambda body, _: model.good[model.item(body).id] if len(body["messages"]) == 3 else "<answer>?"
    ) as server:
        card = run(job(server, some, tmp_path, mode="passk", k=2))
        prompts = [body["messages"][2]["content"] for body in server.bodies if len(body["messages"]) == 3]
    assert card["accepted"] == len(model.items)
    chains = read_chains(tmp_path / "cot.jsonl")
    assert {c.provenance["written_by"] for c in chains} == {"explore", "correct"}, "backtracking is never first"
    assert all(
        c.provenance["rounds"] == 1 and c.provenance["verdicts"] == ["format", "format", "accepted"] for c in chains
    )
    assert len(set(prompts)) == 4, "two templates in two languages"


def test_passk_never_shows_the_answer_and_keeps_the_shortest_right_draft(some, tmp_path):
    model = Model(some)

    def behave(body, _):
        item = model.item(body)
        long = model.good[item.id].replace(
            "<think>\n",
            "<think>\nFirst of all, let us recall what is asked here. "
            if item.language == "en"
            else "<think>\n首先回顾一下题目所问的内容。",
        )
        return model.good[item.id] if body["seed"] == 1 else long

    with Server(behave) as server:
        run(job(server, some, tmp_path, mode="passk", k=3))
        asked = [body["messages"][0]["content"] for body in server.bodies]
    assert all("ends at option" not in text and "最后选择" not in text for text in asked)
    assert {row["provenance"]["trial"] for row in rows(tmp_path / "cot.jsonl")} == {1}


def test_a_judge_behind_the_endpoint_sees_no_conclusion(some, tmp_path):
    model = Model(some)
    seen = []

    def behave(body, _):
        text = body["messages"][0]["content"]
        item = model.item(body)
        if "Notes:" in text or "笔记：" in text:
            seen.append((item, text.split("Notes:")[-1].split("笔记：")[-1]))
            return f"<answer>{item.letter}</answer>" if item.id > "8" else "<answer>none</answer>"
        return model.good[item.id]

    with Server(behave) as server:
        run(replace(job(server, some, tmp_path, rounds=0), judge="endpoint"))
    assert seen and all(
        f"{item.letter}) {item.options[item.answer]}." not in notes.strip().split("\n")[-3] for item, notes in seen
    )
    assert {row["item_id"] > "8" for row in rows(tmp_path / "cot.jsonl")} == {True}
    assert {row["filter"] for row in rows(tmp_path / "rejected.jsonl")} == {"faithfulness"}
    assert all(row["provenance"]["faithful_by"] == "endpoint:tiny" for row in rows(tmp_path / "cot.jsonl"))


def test_a_judge_of_its_own_gets_its_own_server_and_key(some, tmp_path, monkeypatch, capfd):
    model = Model(some)
    monkeypatch.setenv("TEACHER_KEY", KEY)
    monkeypatch.setenv("JUDGE_KEY", "sk-another-secret")
    with (
        Server(lambda body, _: model.good[model.item(body).id]) as teacher,
        Server(lambda body, _: f"<answer>{model.item(body).letter}</answer>") as judge,
    ):
        options = ["--teacher", "endpoint", "--endpoint", teacher.url, "--model", "tiny", "--key-env", "TEACHER_KEY"]
        options += ["--judge-endpoint", judge.url, "--judge-model", "wise", "--judge-key-env", "JUDGE_KEY"]
        given = ["--items", str(some), "--out", str(tmp_path / "out"), *options]
        wanted = distill_cot.job(distill_cot.parser().parse_args(given))
        run(wanted)
        assert {body["model"] for body in judge.bodies} == {"wise"} and len(judge.bodies) == len(model.items)
        assert {body["model"] for body in teacher.bodies} == {"tiny"}
        assert "chains: 22 accepted, 0 rejected, 22 calls" in capfd.readouterr().err, "a log ends with the figures"
        run(wanted)
        assert len(judge.bodies) == len(model.items)
    kept = rows(tmp_path / "out" / "cot.jsonl")
    assert {row["provenance"]["faithful_by"] for row in kept} == {"endpoint:wise"}
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["judge_model"] == "wise"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--judge-model", "wise"], "--teacher endpoint"),
        (["--teacher", "endpoint", "--judge-endpoint", "http://127.0.0.1:9/v1"], "--judge-model"),
        (["--teacher", "endpoint", "--judge-model", "wise", "--judge-key-env", "NOWHERE"], "NOWHERE"),
        (["--teacher", "endpoint", "--judge-model", "wise", "--judge", "graph"], "--judge endpoint"),
    ],
)
def test_options_of_the_judge_that_do_not_go_together(some, tmp_path, options, message):
    server = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "tiny"] if "--teacher" in options else []
    parsed = distill_cot.parser().parse_args(["--items", str(some), "--out", str(tmp_path), *options, *server])
    with pytest.raises(UserError, match=message):
        distill_cot.job(parsed)


def test_a_torn_journal_goes_on_to_the_same_bytes(some, tmp_path):
    run(Job(some, tmp_path / "whole", Plan()))
    journal = (tmp_path / "whole" / "attempts.jsonl").read_bytes()
    for cut in random.Random(1).sample(range(len(journal)), 3):
        torn = tmp_path / f"torn{cut}"
        torn.mkdir()
        (torn / "settings.json").write_bytes((tmp_path / "whole" / "settings.json").read_bytes())
        (torn / "attempts.jsonl").write_bytes(journal[:cut])
        run(Job(some, torn, Plan()))
        assert digests(torn) == digests(tmp_path / "whole")


@pytest.mark.slow
def test_kill_9_repeats_no_finished_call_and_changes_no_byte(some, tmp_path):
    model = Model(some)

    def slowly(body, nth):
        return Hang(
            0.05,
            model(body, nth)
            if model.kinds[model.item(body).id] not in (1, 2, 3, 4, 5)
            else model.good[model.item(body).id],
        )

    with Server(slowly) as server:
        command = [sys.executable, str(SCRIPT), "--items", str(some), "--teacher", "endpoint", "--endpoint", server.url]
        command += ["--model", "tiny", "--judge", "graph", "--concurrency", "2", "--refine-rounds", "1", "--out"]
        environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
        for calls in (4, 11):
            process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment, stderr=subprocess.PIPE)
            while len(server.bodies) < calls and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = subprocess.run(
            [*command, str(tmp_path / "killed")], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        repeated = sum(n - 1 for n in server.begun.values())
        assert repeated <= 2 * 2, "only calls under way when the process died"
    with Server(slowly) as server:
        command[command.index("--endpoint") + 1] = server.url
        subprocess.run([*command, str(tmp_path / "whole")], env=environment, capture_output=True, check=True)
        assert set(server.begun.values()) == {1}
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


@pytest.mark.slow
def test_preview_writes_nothing(some, tmp_path):
    command = [sys.executable, str(SCRIPT), "--items", str(some), "--out", str(tmp_path / "out"), "--preview", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count("=== item") == 5 and done.stdout.count("accepted") == 5
    assert not (tmp_path / "out").exists()
    with Server(Model(some)) as server:
        command += ["--teacher", "endpoint", "--endpoint", server.url, "--model", "tiny", "--judge", "graph"]
        done = subprocess.run([*command, "--preview", "2"], capture_output=True, text=True, check=False)
    assert done.stdout.count("--- request") >= 2 and "--- reply" in done.stdout and not (tmp_path / "out").exists()


def test_a_folder_of_another_job_is_refused(some, tmp_path):
    run(Job(some, tmp_path / "out", Plan()))
    with pytest.raises(UserError, match="seed"):
        run(Job(some, tmp_path / "out", Plan(seed=2)))
    (tmp_path / "rods").mkdir()
    (tmp_path / "rods" / "funnel.json").write_text("{}")
    with pytest.raises(UserError, match="folder of its own"):
        run(Job(some, tmp_path / "rods", Plan()))


def test_what_cannot_be_done_is_said_at_once(some, tmp_path):
    with pytest.raises(UserError, match="expected a folder"):
        Job(some, tmp_path / "cot.jsonl", Plan())
    with pytest.raises(UserError, match="rationalise"):
        Job(some, tmp_path, Plan("passk"))
    write_jsonl(tmp_path / "exam.jsonl", [asdict(replace(read_items(some)[0], source="exam", provenance={}))])
    with pytest.raises(UserError, match="--teacher endpoint"):
        run(Job(tmp_path / "exam.jsonl", tmp_path / "out", Plan()))
