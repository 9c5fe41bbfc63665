"""Duplicates and copies of benchmark questions leave the corpus with a reject that names their twin."""

import json
import random

from fleming_nemo.rods.curated.build import build
from fleming_nemo.rods.curated.plan import parse_plan


def sentence(draw, words):
    """Invented words, so that two questions share nothing."""
    return " ".join("".join(draw.choice("bdfklmnprst") + draw.choice("aeiou") for _ in range(3)) for _ in range(words))


def rows():
    draw = random.Random(4)
    return [
        {"id": f"m-{n}", "question": f"{sentence(draw, 25)}?", "cop": n % 4}
        | {f"op{letter}": sentence(draw, 3) for letter in "abcd"}
        | {"choice_type": "single", "subject_name": None, "topic_name": None}
        for n in range(12)
    ]


def test_duplicates_and_leaks_are_rejects(tmp_path):
    good = rows()
    shuffled = {**good[1], "id": "twin", "opa": good[1]["opb"], "opb": good[1]["opa"], "cop": 0}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*good, shuffled]))
    leak = {"id": "leak", "question": good[7]["question"], "options": [good[7][f"op{x}"] for x in "dcba"], "answer": 0}
    leak |= {
        "context": None,
        "source": "bench",
        "language": "en",
        "split": "test",
        "difficulty": None,
        "provenance": {},
    }
    (tmp_path / "bench.jsonl").write_text(json.dumps(leak) + '\n{"id": "no-question"}\n')
    (tmp_path / "other.jsonl").write_text(json.dumps(leak | {"question": sentence(random.Random(9), 25)}) + "\n")
    source = {"use": "medmcqa", "split": "train", "files": [str(tmp_path / "train.jsonl")]}
    tree = {"sources": [source], "benchmarks": [str(tmp_path / "bench.jsonl"), str(tmp_path / "other.jsonl")]}
    plan = parse_plan(tree, "plan")
    card = build(plan, tmp_path / "out")
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(r["row"], r["field"], r["reason"].split(":")[0]) for r in rejects] == [
        (2, "question", "benchmark row not compared"),
        (13, "question", "exact duplicate"),
        (8, "question", "in benchmark bench"),
    ]
    assert card["items"] == 11
    names = [step["step"] for step in card["funnel"]]
    assert names[-3:] == ["exact duplicates", "near duplicates", "decontaminate"]
    assert card["funnel"][-1]["sources"]["medmcqa"]["reasons"] == {"in benchmark bench": 1}
    assert {name: (hits["questions"], hits["items"]) for name, hits in card["benchmarks"].items()} == {
        "bench": (1, 1),
        "other": (1, 0),
    }
    text = (tmp_path / "out" / "card.md").read_text()
    assert "| other | 1 | 0 | none |" in text and "**1 rows of the benchmark files could not be read**" in text
    bare = build(parse_plan({"sources": [source], "duplicates": False}, "plan"), tmp_path / "bare")
    assert bare["items"] == 13 and "**Not decontaminated**" in (tmp_path / "bare" / "card.md").read_text()


def test_near_duplicates_leave_unless_the_plan_says_so(tmp_path):
    good = rows()
    reworded = {**good[2], "id": "near", "question": good[2]["question"].replace("?", " today?")}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*good, reworded]))
    tree = {"sources": [{"use": "medmcqa", "split": "train", "files": [str(tmp_path / "train.jsonl")]}]}
    card = build(parse_plan(tree, "plan"), tmp_path / "out")
    reasons = {step["step"]: step["sources"]["medmcqa"]["reasons"] for step in card["funnel"]}
    assert card["items"] == 12 and reasons["near duplicates"] == {"near duplicate": 1}
    assert build(parse_plan(tree | {"duplicates": False}, "plan"), tmp_path / "all")["items"] == 13
