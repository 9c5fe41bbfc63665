"""From the graph to the card: exact size, every item accounted for, resumable, the same bytes for any workers."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256
from fleming_nemo.data.items import DIFFICULTIES, read_items
from fleming_nemo.rods.card.markdown import markdown
from fleming_nemo.rods.corpus import slim
from fleming_nemo.rods.corpus.build import FINAL, Wanted, build
from fleming_nemo.rods.corpus.choose import BROKEN
from fleming_nemo.rods.corpus.labels import LabelCheck
from fleming_nemo.rods.corpus.overlaps import benchmark_files
from fleming_nemo.rods.evidence import SPLITS
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth import shards

SIZES = {"sft": 240, "rl": 30, "heldout": 30}


def items_of(out):
    return [item for split in SPLITS for item in read_items(out / f"items_{split}.jsonl")]


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def final(out):
    return {name: (out / name).read_bytes() for name in (*FINAL, "manifest.json")}


def test_as_many_items_as_asked_for_and_every_other_one_accounted_for(built):
    out, card = built
    items = items_of(out)
    assert Counter(i.split for i in items) == SIZES and card["items"] == 300
    for step in card["funnel"]:
        for row in step["sources"].values():
            assert row["in"] - row["kept"] == sum(row["reasons"].values()), step["step"]
    kept = [step["sources"]["kg"] for step in card["funnel"]]
    assert [row["kept"] for row in kept[:-1]] == [row["in"] for row in kept[1:]] and kept[-1]["kept"] == 300
    made = [i for path in slim.item_files(next((out / "work").glob("rare-first-*"))) for i in read_items(path)]
    gone = {r["raw"].split('"id": "')[1][:16] for r in rows(out / "rejects.jsonl")}
    gone |= {r["id"] for r in rows(out / "review.jsonl")} | {i.id for i in items}
    assert len({i.id for i in made} - gone) == sum(kept[-1]["reasons"].values()), "only what was not needed is left"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["sha256"] == {name: sha256(out / name) for name in FINAL}


def test_the_card_says_what_is_in_the_corpus(built, folder):
    out, card = built
    items = items_of(out)
    assert (out / "card.md").read_text(encoding="utf-8") == markdown(json.loads((out / "card.json").read_text()))
    for axis in ("difficulty", "language", "split"):
        assert card["by"][axis] == Counter(getattr(i, axis) for i in items)
    assert card["options"] == Counter(str(len(i.options)) for i in items)
    assert card["difficulty"]["split"] == Counter(i.difficulty for i in items)
    assert min(card["difficulty"]["split"][tier] for tier in DIFFICULTIES) > 15, "all three classes are of use"
    assert len({row["id"] for row in card["sample"]}) == 20 and all(
        row["provenance"]["edges"] for row in card["sample"]
    )
    assert card["licences"] == [{"source": "kg", "licence": "CC0", "items": 300, "note": ""}]
    kg, asked = KnowledgeGraph.load(folder), {node for i in items for node in i.provenance["path"]}
    diseases = {kg.ids[n] for n in kg.of_type("disease").tolist()}
    row = card["coverage"]["disease"]
    assert (row["rare"], row["rare_covered_before"]) == (len(diseases), 0)
    assert row["rare_covered_after"] == len(diseases & asked) <= row["rare_askable"] <= row["rare"]
    assert 0 < row["rare_covered_uniform"] <= len(diseases)
    text = (out / "card.md").read_text(encoding="utf-8")
    assert "no curated data were given" in text and "**Not decontaminated**" in text and "by graph-solver" in text


def test_the_label_check_is_in_the_items_and_would_notice_wrong_labels(built):
    out, card = built
    check = card["label_check"]
    assert check["checked"] == sum(row["checked"] for row in check["families"].values()) >= 300
    assert check["wrong labels caught"] > 0.7 and sum(r["to review"] for r in check["families"].values()) < 30
    harder = 0
    for item in items_of(out):
        found, structural = item.provenance["label_check"], item.provenance["structural_difficulty"]
        assert found["by"] == "graph-solver" and 1 <= found["right"] <= found["trials"] == 5
        steps = DIFFICULTIES.index(item.difficulty) - DIFFICULTIES.index(structural)
        assert steps == (found["right"] <= 3 and structural != "difficult")
        harder += steps
    table = card["difficulty"]["structural_and_measured"]
    assert harder <= table["easy"]["moderate"] + table["moderate"]["difficult"]


def test_workers_and_earlier_work_do_not_show(built, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(slim, "PART", 70)
    build(Wanted(settings), tmp_path, workers=2)
    assert final(tmp_path) == final(built[0])
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.glob("work/*/*/DONE.json")}
    stamps |= {p: p.stat().st_mtime_ns for p in tmp_path.glob("work/*/DONE.json")}
    assert len(stamps) >= 6
    redone = tmp_path / "work" / "solved" / "0001"
    shutil.rmtree(redone)
    (tmp_path / "card.json").write_text("torn")
    build(Wanted(settings), tmp_path)
    assert final(tmp_path) == final(built[0])
    assert [p for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp] == [redone / "DONE.json"]


def spoiled(monkeypatch, change):
    """Synthesis as it is, but `change(rows)` edits the SFT items on their way."""
    real = shards.build

    def build_and_spoil(settings, out, workers=1):
        funnel = real(settings, out, workers)
        path = out / "items_sft.jsonl"
        found = rows(path)
        change(found)
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in found), encoding="utf-8")
        return funnel

    monkeypatch.setattr(shards, "build", build_and_spoil)


def test_a_wrong_label_goes_to_review_and_its_option_list_leaves(settings, tmp_path, monkeypatch):
    planted = {}

    def mislabel(found):
        by_list = Counter(r["provenance"]["group"] for r in found)
        plain = [
            r for r in found if r["provenance"]["family"] == "disease-gene" and by_list[r["provenance"]["group"]] > 1
        ]
        for row in plain[:2]:
            planted[row["id"]] = row["answer"]
            row["answer"] = (row["answer"] + 1) % len(row["options"])

    spoiled(monkeypatch, mislabel)
    card = build(Wanted(settings, compare=False), tmp_path)
    review = {row["id"]: row for row in rows(tmp_path / "review.jsonl")}
    assert set(planted) <= set(review) and card["items"] == 300, "others take their places"
    for identity, right in planted.items():
        row = review[identity]
        assert row["reason"] == "wrong in all 5 trials" and len(row["answers"]) == 5
        assert row["model_says"] == "ABCDEFGHIJKLMNOPQRSTU"[right] != row["label"]
        assert row["item"]["provenance"]["edges"], "the reviewer sees the whole item"
    left = {r["reason"] for r in rows(tmp_path / "rejects.jsonl")}
    groups = {row["item"]["provenance"]["group"] for row in review.values()}
    kept = items_of(tmp_path)
    assert left == {BROKEN} and not groups & {i.provenance["group"] for i in kept}
    decided = tmp_path / "decisions.jsonl"
    decided.write_text("".join(json.dumps({"id": i, "decision": "keep"}) + "\n" for i in review))
    card = build(Wanted(settings, LabelCheck(decisions=decided), compare=False), tmp_path)
    assert set(planted) <= {i.id for i in items_of(tmp_path)} and card["label_check"]["kept by a reviewer"] >= 2


def test_benchmark_questions_and_repeats_leave(settings, tmp_path, monkeypatch):
    folder = tmp_path / "eval"
    folder.mkdir()
    spoiled(monkeypatch, lambda found: found.append(found[0] | {"id": "twin", "options": found[0]["options"][::-1]}))
    plain = build(Wanted(settings, compare=False), tmp_path / "plain")
    leaked = [i for i in items_of(tmp_path / "plain") if i.provenance["family"] == "findings-disease"][1:4]
    bench = [{"id": f"b{n}", "question": i.question, "options": i.options[::-1]} for n, i in enumerate(leaked)]
    (folder / "taken.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*bench, {"id": "no question"}]))
    (folder / "other.jsonl").write_text(
        '{"id": "o", "question": "Which metal is heavy and soft?", "options": ["tin"]}\n'
    )
    card = build(Wanted(settings, benchmarks=tuple(benchmark_files(folder)), compare=False), tmp_path / "out")
    hits = card["benchmarks"]
    assert hits["taken"]["questions"] == 3 and hits["taken"]["items"] >= 3 and hits["other"]["items"] == 0
    assert not {i.question for i in leaked} & {i.question for i in items_of(tmp_path / "out")} and card["items"] == 300
    reasons = Counter(r["reason"].split(":")[0] for r in rows(tmp_path / "out" / "rejects.jsonl"))
    assert reasons["in benchmark taken"] == hits["taken"]["items"] and reasons["benchmark row not compared"] == 1
    assert plain["duplicates"]["exact, removed"] == 1 == reasons["exact duplicate"]
    assert "twin" not in {i.id for i in items_of(tmp_path / "out")}
    with pytest.raises(UserError, match="no .jsonl or .jsonl.gz file"):
        benchmark_files(tmp_path / "plain" / "work")


def test_a_sample_of_the_labels(settings, tmp_path):
    card = build(Wanted(settings, LabelCheck(items=60), compare=False), tmp_path)
    check = card["label_check"]
    assert 30 < check["checked"] < 90 and check["checked"] + check["not in the sample"] == 303
    assert sum("label_check" in i.provenance for i in items_of(tmp_path)) <= check["checked"]


def test_mentions_of_curated_data_are_the_coverage_before(settings, tmp_path):
    (tmp_path / "mentions.tsv").write_text("id\tmentions\nD:000\t9\nD:001\t2\n")
    table = str(tmp_path / "mentions.tsv")
    card = build(Wanted(replace(settings, mentions=table), compare=False), tmp_path / "out")
    row = card["coverage"]["disease"]
    assert (row["mentioned_before"], row["rare"], row["rare_covered_before"]) == (2, row["entities"] - 1, 1)


def test_more_than_the_graph_has_is_an_error(settings, tmp_path):
    with pytest.raises(UserError, match="ask for"):
        build(Wanted(replace(settings, items=2), compare=False), tmp_path)
    assert not (tmp_path / "card.json").exists()
