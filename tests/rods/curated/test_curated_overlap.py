"""Duplicates and copies of benchmark questions leave the corpus with a reject that names their twin."""

import json
import random

from fleming_nemo.rods.curated.build import build
from fleming_nemo.rods.curated.overlap_steps import overlap_steps
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
    (tmp_path / "bench.jsonl").write_text(json.dumps(leak) + "\n")
    source = {"use": "medmcqa", "split": "train", "files": [str(tmp_path / "train.jsonl")]}
    tree = {"sources": [source], "duplicates": True, "benchmarks": [str(tmp_path / "bench.jsonl")]}
    plan = parse_plan(tree, "plan")
    card = build(plan, tmp_path / "out", steps=overlap_steps(plan, 1))
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(r["row"], r["field"], r["reason"].split(":")[0]) for r in rejects] == [
        (13, "question", "exact duplicate"),
        (8, "question", "in benchmark bench"),
    ]
    assert card["items"] == 11
    names = [step["step"] for step in card["funnel"]]
    assert names[-3:] == ["exact duplicates", "near duplicates", "decontaminate"]
    assert card["funnel"][-1]["sources"]["medmcqa"]["reasons"] == {"in benchmark bench": 1}
    assert "Decontaminated against" in (tmp_path / "out" / "card.md").read_text()
    bare = build(parse_plan({"sources": [source]}, "plan"), tmp_path / "bare")
    assert bare["items"] == 13 and "**Not decontaminated**" in (tmp_path / "bare" / "card.md").read_text()


def test_nothing_is_asked_nothing_is_done():
    tree = {"sources": [{"use": "medmcqa", "split": "train", "files": ["x"]}]}
    assert overlap_steps(parse_plan(tree, "plan"), 1) == []
