"""The pipeline from plan to card: every item accounted for, resumable, the same bytes for any number of workers."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from endpoint.server import Server, asked
from invented import medmcqa_rows

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import read_items
from fleming_nemo.rods.card.markdown import markdown
from fleming_nemo.rods.curated import steps
from fleming_nemo.rods.curated.build import build
from fleming_nemo.rods.curated.filters import reject_item
from fleming_nemo.rods.curated.heldout import pubmedqa_test_ids
from fleming_nemo.rods.curated.plan import parse_plan
from fleming_nemo.rods.curated.rejects import Refused

SCRIPT = Path(__file__).parents[3] / "data_prep" / "build_curated.py"
COMMIT = "0" * 40


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def data(tmp_path):
    """Files with good rows and one of every kind of bad one; (folder, plan)."""
    rows = medmcqa_rows(40)
    rows[3]["question"] += " <table>"
    rows[4]["opb"] = rows[4]["opa"]
    rows[5]["question"] = "Seen on 12/03/2019 by Mr. Smith: which metal is it?"
    rows[6] = dict(rows[7])  # the same row twice
    rows[8]["id"] = rows[9]["id"]  # an id with two contents
    rows[10]["cop"] = 7
    rows[11]["question"] = "long " * 2_500
    one, two = write(tmp_path / "one.jsonl", rows[:25]), write(tmp_path / "two.jsonl", rows[25:])
    pubmedqa = [
        {"pubid": pubid, "question": f"Does tin help group {n}?", "final_decision": "yes", "long_answer": "secret"}
        | {"context": {"contexts": [f"From 1 May 2001 we asked group {n}."], "labels": ["AIM"]}}
        for n, pubid in enumerate(["1", "2", min(pubmedqa_test_ids()), int(max(pubmedqa_test_ids()))])
    ]
    cmexam = [
        {
            "Question": f"第{n}号药物是什么？",
            "Options": f"A 甲{n}\nB 乙{n}\nC 丙{n}",
            "Answer": "ABC"[n % 3] if n else "AC",
        }
        for n in range(12)
    ]
    (tmp_path / "zh.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in cmexam))
    own = {
        "question": "Which gene?",
        "options": ["X1", "X2"],
        "answer": 0,
        "context": None,
        "source": "kg",
        "language": "en",
    }
    own |= {"split": "train", "difficulty": "difficult", "provenance": {"licence": "CC BY-ND 4.0"}}
    items = [own | {"id": f"kg-{n}", "question": f"Which gene of {n}?"} for n in range(6)] + [
        own | {"id": "bad", "answer": 5}
    ]
    plan = {
        "duplicates": False,  # the invented rows resemble each other
        "sources": [
            {"use": "medmcqa", "split": "train", "files": [one, two]},
            {"use": "pubmedqa", "split": "train", "files": [write(tmp_path / "pubmedqa.jsonl", pubmedqa)]},
            {"use": "cmexam_csv", "split": "train", "files": [str(tmp_path / "zh.jsonl")]},
        ],
        "items": [write(tmp_path / "kg.jsonl", items)],
    }
    return tmp_path, plan


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def final(folder):
    return {name: raw for name, raw in tree(folder).items() if "/" not in name}


def test_every_row_is_an_item_or_a_reject(data):
    folder, plan = data
    card = build(parse_plan(plan, "plan"), folder / "out")
    items = read_items(folder / "out" / "items.jsonl")
    rejects = [json.loads(line) for line in (folder / "out" / "rejects.jsonl").read_text().splitlines()]
    assert len(items) + len(rejects) == 40 + 4 + 12 + 7
    kinds = Counter((r["file"], r["row"], r["reason"].split(":")[0]) for r in rejects)
    assert kinds == Counter(
        {
            ("one.jsonl", 4, "HTML that cannot be read as text"): 1,
            ("one.jsonl", 5, "duplicate options"): 1,
            ("one.jsonl", 8, "same question twice"): 1,
            ("one.jsonl", 10, "duplicate id with other content"): 1,
            ("one.jsonl", 11, "answer outside the options"): 1,
            ("one.jsonl", 12, "too long"): 1,
            ("pubmedqa.jsonl", 3, "held out"): 1,
            ("pubmedqa.jsonl", 4, "held out"): 1,
            ("zh.jsonl", 1, "several answers"): 1,
            ("kg.jsonl", 7, "expected an index in 0..1, found 5"): 1,
        }
    )
    assert all(r["field"] and r["raw"] for r in rejects)
    by_row = {i.provenance["row_id"]: i for i in items if i.source == "medmcqa"}
    assert by_row["m-5"].question == "Seen on [DATE] by Mr. [NAME]: which metal is it?"
    assert "1 May 2001" in next(i for i in items if i.source == "pubmedqa").context, "an abstract is published"
    assert "secret" not in (folder / "out" / "items.jsonl").read_text()
    for step in card["funnel"]:
        for source, row in step["sources"].items():
            assert row["in"] - row["kept"] == sum(row["reasons"].values()), (step["step"], source)
    last = {source: row["kept"] for source, row in card["funnel"][-1]["sources"].items()}
    assert last == dict(Counter(i.source for i in items)) == card["by"]["source"]


def test_the_card(data):
    folder, plan = data
    card = build(parse_plan(plan, "plan"), folder / "out")
    text = (folder / "out" / "card.md").read_text()
    assert text == markdown(json.loads((folder / "out" / "card.json").read_text()))
    assert "**not run**" in text and "Not medical advice" in text and "Not measured" in text
    assert "| kg | CC BY-ND 4.0 | 6 | restricted" in text
    assert "| unique | medmcqa | 36 | 34 | duplicate id with other content 1, same question twice 1 |" in text
    assert len(card["sample"]) == 20 == text.count('"provenance": {')
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["items"] == card["items"] and set(manifest["sha256"]) == {
        "items.jsonl",
        "review.jsonl",
        "rejects.jsonl",
        "card.json",
        "card.md",
    }


def test_any_number_of_workers_gives_the_same_bytes(data, monkeypatch):
    folder, plan = data
    plan |= {"mix": {"total": 30, "language": {"zh": 0.2}}, "seed": 3}
    monkeypatch.setattr(steps, "PART", 7)
    build(parse_plan(plan, "plan"), folder / "one", workers=1)
    monkeypatch.undo()
    build(parse_plan(plan, "plan"), folder / "two", workers=2)
    assert final(folder / "one") == final(folder / "two"), "neither the cut into parts nor the processes show"


def test_finished_shards_are_not_done_again_and_changed_ones_are(data):
    folder, plan = data
    out = folder / "out"
    build(parse_plan(plan, "plan"), out)
    before = {p: p.stat().st_mtime_ns for p in out.glob("work/*/*/*") if p.is_file()}
    first = final(out)
    build(parse_plan(plan, "plan"), out)
    assert {p: p.stat().st_mtime_ns for p in before} == before and final(out) == first
    write(folder / "two.jsonl", medmcqa_rows(3, first=100))
    build(parse_plan(plan, "plan"), out)
    redone = {
        str(p.relative_to(out / "work").parent) for p in before if not p.exists() or p.stat().st_mtime_ns != before[p]
    }
    assert redone == {"read/002", "clean/002-00000"}
    build(parse_plan(plan, "plan"), folder / "fresh")
    assert final(out) == final(folder / "fresh")


def test_label_check_difficulty_mix_and_coverage(data):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder, plan = data
    build(parse_plan(plan, "plan"), folder / "plain")
    items = read_items(folder / "plain" / "items.jsonl")
    bad = {items[0].id, items[-1].id}
    entries = [
        {"item_id": i.id, "policy": "p", "round": "mining", "rollouts": 5, "correct": 0 if i.id in bad else 1 + n % 5}
        | {"truncated": 0, "unparsable": 0}
        for n, i in enumerate(items)
    ]
    ledger = write(folder / "ledger.jsonl", entries)
    node = {"id": "D:1", "type": "disease", "name": "gene of 3", "synonyms": [], "identifiers": [], "name_zh": None}
    (folder / "kg").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist([node]), folder / "kg" / "nodes.parquet")
    plan |= {"label_check": {"answers": ledger}, "difficulty": {"ledger": ledger}, "graph": str(folder / "kg")}
    plan |= {"mix": {"difficulty": {"easy": 0.4, "moderate": 0.4, "difficult": 0.2}}}
    card = build(parse_plan(plan, "plan"), folder / "out")
    review = [json.loads(line) for line in (folder / "out" / "review.jsonl").read_text().splitlines()]
    assert {row["id"] for row in review} == bad
    assert card["label_check"]["wrong in all trials"] == 2
    kept = read_items(folder / "out" / "items.jsonl")
    assert not bad & {i.id for i in kept}
    rate = {e["item_id"]: e["correct"] / 5 for e in entries}
    assert all(
        i.difficulty == ("easy" if rate[i.id] >= 0.8 else "difficult" if rate[i.id] <= 0.2 else "moderate")
        for i in kept
    )
    assert card["by"]["difficulty"]["easy"] / len(kept) == pytest.approx(0.4, abs=0.03)
    assert card["coverage"]["disease"]["rare_covered_before"] == 0
    assert [s["step"] for s in card["funnel"]] == ["read", "format", "anonymise", "unique", "label check", "mix"]


def test_the_endpoint_of_a_plan_is_asked_once(data, monkeypatch):
    """Label check and difficulty through one server; a second build buys nothing and writes the same bytes."""
    folder, plan = data
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def answer(body, nth):
        prompt = asked(body)
        rated = "<difficulty>moderate</difficulty>"
        return rated if "How difficult" in prompt else f"<answer>{'B' if 'Does tin help' in prompt else 'A'}</answer>"

    with Server(answer) as server:
        wanted = {"endpoint": {"base_url": server.url, "model": "m"}}
        plan |= {"label_check": wanted | {"trials": 2}, "difficulty": wanted}
        card = build(parse_plan(plan, "plan"), folder / "out")
        first, calls = final(folder / "out"), server.calls
        assert "Authorization" not in server.headers[0]
        build(parse_plan(plan, "plan"), folder / "out")
        assert server.calls == calls and final(folder / "out") == first
    items = read_items(folder / "out" / "items.jsonl")
    review = [json.loads(line) for line in (folder / "out" / "review.jsonl").read_text().splitlines()]
    assert items and {i.answer for i in items} == {0} and {i.difficulty for i in items} == {"moderate"}
    assert review and all(r["label"] != r["model_says"] and r["reason"] == "wrong in all 2 trials" for r in review)
    assert calls == 2 * (len(items) + len(review)) + len(items)
    assert card["label_check"]["by"] == "m" and card["difficulty"]["labelled"] == len(items)


def test_further_steps_must_account_for_what_they_take(data):
    folder, plan = data

    def no_kg(items):
        gone = [i for i in items if i.source == "kg"]
        rejects = [reject_item(i, Refused("source", "no kg")) for i in gone]
        return steps.Stepped([i for i in items if i.source != "kg"], rejects)

    card = build(parse_plan(plan, "plan"), folder / "out", steps=[("no kg", no_kg)])
    assert card["funnel"][-1]["sources"]["kg"] == {"in": 6, "kept": 0, "reasons": {"no kg": 6}}
    with pytest.raises(RuntimeError, match="6 items are gone, 0 have a reject"):
        build(parse_plan(plan, "plan"), folder / "out", steps=[("thief", lambda i: steps.Stepped(no_kg(i).kept, []))])


def test_a_file_with_no_usable_row_is_an_error_that_names_the_reason(data):
    folder, plan = data
    path = write(folder / "none.jsonl", [{**row, "cop": -1} for row in medmcqa_rows(3)])
    plan["sources"].append({"use": "medmcqa", "split": "train", "files": [path]})
    with pytest.raises(UserError, match=r"none of 3 rows can be used: no answer \(3\)"):
        build(parse_plan(plan, "plan"), folder / "out", workers=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": [{"use": "medqq", "split": "train", "files": ["x"]}]}, "unknown source; known are careqa"),
        ({"sources": [{"use": "medqa", "split": "test", "files": ["x"]}]}, "never training data"),
        ({"sources": [{"use": "mmlu", "split": "anything", "files": ["x"]}]}, "never training data"),
        ({"sources": [{"use": "medqa", "split": "train"}]}, "either `files` or a `revision`"),
        ({"sources": [{"use": "medqa", "split": "train", "revision": "main"}]}, "is no commit"),
        ({"sources": [{"use": "cmexam_csv", "split": "train", "revision": COMMIT}]}, "no hub id"),
        ({"sources": [], "items": []}, "no sources and no items"),
        ({"purpose": "fun"}, "expected training or evaluation"),
        ({"label_check": {}}, "either `answers`"),
        ({"difficulty": {"ledger": "x", "endpoint": {"base_url": "http://h/v1", "model": "m"}}}, "either `ledger`"),
        ({"label_check": {"endpoint": {"base_url": "http://h/v1", "model": "m", "key": "sk"}}}, "unknown field 'key'"),
        ({"mix": {"size": 3}}, "unknown field 'size'"),
        ({"seed": "one"}, "field seed"),
        ({"items": ["none.jsonl"]}, "cannot be read"),
    ],
)
def test_mistakes_in_a_plan_are_named(data, change, message):
    folder, plan = data
    with pytest.raises(UserError, match=message):
        build(parse_plan({**plan, **change}, "plan"), folder / "out")


def script(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.slow
def test_an_unreachable_hub_says_how_to_use_a_local_copy(tmp_path):
    pytest.importorskip("datasets")
    plan = {"sources": [{"use": "medqa", "split": "train", "revision": COMMIT}]}
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    done = script(
        *("--plan", tmp_path / "plan.yaml", "--out", tmp_path / "out"),
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(tmp_path / "hf"),
    )
    assert done.returncode == 2 and done.stderr.count("error: ") == 1
    assert "`files: [PATH]`" in done.stderr and "question, answer_idx, options" in done.stderr


def test_rows_come_through_the_datasets_library_at_a_commit(tmp_path):
    """A folder stands for the hub: the library reads both the same way, but a folder has no revisions."""
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "train.jsonl", medmcqa_rows(9))
    source = {"use": "medmcqa", "split": "train", "revision": COMMIT, "hub": str(tmp_path / "set")}
    (tmp_path / "plan.yaml").write_text(json.dumps({"sources": [source], "duplicates": False}))
    home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = script("--plan", tmp_path / "plan.yaml", "--out", tmp_path / "out", **home)
    assert done.returncode == 0, done.stderr
    items = {i.provenance["row"]: i for i in read_items(tmp_path / "out" / "items.jsonl")}
    assert len(items) == 9 and items[3].answer == 2 and items[3].provenance["revision"] == COMMIT
    (tmp_path / "plan.yaml").write_text(json.dumps({"sources": [source | {"use": "mmlu"}], "purpose": "evaluation"}))
    done = script("--plan", tmp_path / "plan.yaml", "--out", tmp_path / "out", **home)
    assert done.returncode == 2 and "no column choices, answer, subject" in done.stderr.replace(
        "answer, choices", "choices, answer"
    )


def test_one_build_at_a_time(data):
    folder, plan = data
    (folder / "out" / "work").mkdir(parents=True)
    with open(folder / "out" / "work" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another build"):
            build(parse_plan(plan, "plan"), folder / "out")


def test_the_script_ends_with_one_line_for_a_mistake(tmp_path):
    assert script("--list").stdout.count("\n") == 18
    done = script("--plan", tmp_path / "none.yaml")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "Traceback" in script("--plan", tmp_path / "none.yaml", "--debug").stderr


def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(data):
    folder, plan = data
    write(folder / "one.jsonl", medmcqa_rows(6_000))
    (folder / "plan.yaml").write_text(json.dumps(plan))
    build(parse_plan(plan, "plan"), folder / "whole")
    command = [sys.executable, str(SCRIPT), "--plan", folder / "plan.yaml", "--out", folder / "out", "--workers", "1"]
    child = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    marker, deadline = folder / "out" / "work" / "read" / "001" / "DONE.json", time.monotonic() + 60
    while not marker.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert marker.exists() and not (folder / "out" / "manifest.json").exists(), "killed in the middle"
    stamp = marker.stat().st_mtime_ns
    assert subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert marker.stat().st_mtime_ns == stamp
    assert final(folder / "out") == final(folder / "whole")


@pytest.mark.parametrize("field", ["row_id", "row", "pubid"])
def test_no_pubmedqa_test_item_enters_training_as_an_item_of_our_own_form(tmp_path, field):
    """Items may come from elsewhere than a mapping; whatever field holds the identifier, the test half stays out."""
    planted = max(pubmedqa_test_ids())
    row = {"context": None, "source": "PubMed-QA", "language": "en", "split": "train", "difficulty": None}
    row |= {"question": "Does it?", "options": ["yes", "no"], "answer": 0}
    rows = [row | {"id": f"i{n}", "provenance": {field: who}} for n, who in enumerate([planted, int(planted), "1"])]
    rows.append(row | {"id": "i9", "source": "other", "provenance": {field: planted}})
    tree = {"items": [write(tmp_path / "own.jsonl", rows)], "duplicates": False}
    build(parse_plan(tree, "plan"), tmp_path / "out")
    assert [i.id for i in read_items(tmp_path / "out" / "items.jsonl")] == ["i2", "i9"]
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(r["row"], r["reason"].split(":")[0]) for r in rejects] == [(1, "held out"), (2, "held out")]
    build(parse_plan(tree | {"purpose": "evaluation"}, "plan"), tmp_path / "evaluation")
    assert {"i0", "i2", "i9"} <= {i.id for i in read_items(tmp_path / "evaluation" / "items.jsonl")}
