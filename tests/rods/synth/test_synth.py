"""Properties of the questions made from the typed graph."""

import collections
import json

import invented_graph
import pytest
from refuter import facts_of

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import read_items
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.facts import Facts
from fleming_nemo.rods.synth.families import FAMILIES
from fleming_nemo.rods.synth.generate import Generator
from fleming_nemo.rods.synth.mentions import count_mentions, read_mentions, write_mentions
from fleming_nemo.rods.synth.names import Telltale
from fleming_nemo.rods.synth.shards import Settings, build

GOLDEN_FAMILIES = {
    "disease-gene": 55,
    "disease-gene-drug": 38,
    "drug-interaction": 65,
    "drug-mechanism": 45,
    "drug-mechanism-drug": 45,
    "findings-disease": 154,
    "findings-disease-gene": 187,
    "findings-disease-gene-disease": 113,
    "findings-disease-gene-drug": 53,
    "findings-disease-gene-drug-mechanism": 62,
    "findings-disease-gene-drug-mechanism-drug": 42,
    "findings-disease-inheritance": 87,
    "frequencies-disease": 120,
    "gene-drug": 53,
    "variant-disease": 54,
    "variant-gene-disease-inheritance": 27,
}
GOLDEN_OPTIONS = {
    "2": 58, "3": 99, "4": 463, "5": 205, "6": 42, "7": 70, "8": 56, "9": 36,
    "10": 60, "12": 12, "13": 13, "16": 48, "17": 17, "21": 21,
}  # fmt: skip


def files(out):
    return {path.name: path.read_bytes() for path in sorted(out.glob("items_*.jsonl")) + [out / "funnel.json"]}


def test_the_corpus_has_the_size_asked_for_and_reads_as_items(corpus, rows):
    out, funnel = corpus
    sizes = {split: len(read_items(out / f"items_{split}.jsonl")) for split in ("sft", "rl", "heldout")}
    assert sizes == {"sft": 960, "rl": 120, "heldout": 120} == funnel["accepted"]
    assert len({row["id"] for row in rows}) == 1200


def test_nothing_is_refuted(judge, rows):
    objections = {row["id"]: reasons for row in rows if (reasons := judge.objections(row))}
    assert not objections


def test_the_numbers_by_family_and_options_are_those_of_before(corpus):
    """Golden counts of the invented graph; they may change with the sampler, the quotas or the proofs, and only so."""
    by = corpus[1]["by"]
    assert by["family"] == GOLDEN_FAMILIES
    assert by["options"] == GOLDEN_OPTIONS


def test_every_family_is_asked_in_english_and_some_in_chinese(rows):
    asked = collections.Counter((row["provenance"]["family"], row["language"]) for row in rows)
    assert {family for family, language in asked if language == "en"} == {f.name for f in FAMILIES}
    assert len({family for family, language in asked if language == "zh"}) >= 8
    assert {row["provenance"]["dials"]["hops"] for row in rows} == {1, 2, 3, 4, 5}


def test_no_fact_of_one_split_occurs_in_another(rows):
    used = collections.defaultdict(set)
    for row in rows:
        used[row["split"]] |= facts_of(row)
    assert used["sft"] and used["rl"] and used["heldout"]
    assert not used["sft"] & used["heldout"] and not used["rl"] & used["heldout"] and not used["sft"] & used["rl"]


def test_any_number_of_workers_gives_the_same_bytes(folder, corpus, tmp_path):
    build(Settings(str(folder), 1200, shard_size=100, chinese=0.3), tmp_path, workers=2)
    assert files(tmp_path) == files(corpus[0])


def test_a_broken_off_build_goes_on_and_ends_the_same(folder, corpus, tmp_path, monkeypatch):
    import fleming_nemo.rods.synth.workers as workers

    settings, made, make = Settings(str(folder), 1200, shard_size=100, chinese=0.3), [], workers.make

    def dies(job):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(job)
        return make(job)

    monkeypatch.setattr(workers, "make", dies)
    with pytest.raises(KeyboardInterrupt):
        build(settings, tmp_path)
    (tmp_path / "shards" / "sft-00002.json").unlink()  # a shard whose marker is missing counts as not made
    monkeypatch.setattr(workers, "make", lambda job: made.append(job) or make(job))
    build(settings, tmp_path)
    assert files(tmp_path) == files(corpus[0])
    assert [job[1:] for job in made].count(("sft", 2)) == 2 and [job[1:] for job in made].count(("sft", 1)) == 1


def test_other_settings_are_refused(folder, corpus):
    with pytest.raises(UserError, match="other settings"):
        build(Settings(str(folder), 1200, seed=2, shard_size=100, chinese=0.3), corpus[0])


def test_asking_for_more_than_the_graph_holds_says_how_many_there_are(tmp_path):
    small = invented_graph.write(tmp_path / "kg", num_diseases=9, num_drugs=0)
    with pytest.raises(UserError, match="yields about [0-9]+"):
        build(Settings(str(small), 3_000, shard_size=300), tmp_path / "out")


def test_the_same_facts_are_asked_three_times_at_most(rows):
    uses = collections.Counter((row["provenance"]["subgraph"]) for row in rows)
    assert max(uses.values()) == 3


def test_the_answer_stands_everywhere_equally_often(rows):
    for size in (4, 5):
        places = collections.Counter(row["answer"] for row in rows if len(row["options"]) == size)
        number, total = len(places), sum(places.values())
        assert number == size
        assert sum((n - total / size) ** 2 / (total / size) for n in places.values()) < 18.5  # chi squared, p = 0.001


def test_every_member_of_an_option_list_is_asked_once(folder):
    generator = Generator(KnowledgeGraph.load(folder), 1, {}, "uniform", "v", {})
    items, _ = generator.shard("sft", 0, 300)
    asked = collections.defaultdict(collections.Counter)
    for item in items:
        asked[frozenset(item.options), item.provenance["group"]][item.options[item.answer]] += 1
    even = [set(counter.values()) for (options, _), counter in asked.items() if len(counter) == len(options)]
    assert len(even) == len(asked), "some option is shown and never the answer"
    assert all(len(values) == 1 for values in even)


def test_rare_entities_are_asked_first(folder, tmp_path):
    mentions = {f"D:{d:03d}": (0 if d < 30 else 50) for d in range(120)}
    write_mentions(tmp_path / "mentions.tsv", mentions)
    rare = {}
    for sampler in ("rare-first", "uniform"):
        settings = Settings(str(folder), 300, sampler=sampler, mentions=str(tmp_path / "mentions.tsv"), shard_size=100)
        table = build(settings, tmp_path / sampler)["coverage"]["disease"]
        assert table["under_covered_before"] == 30
        rare[sampler] = table["questions_about_them"]
    assert rare["rare-first"] > 1.3 * rare["uniform"]


def test_a_bad_table_of_mentions_is_named_by_line(tmp_path):
    path = tmp_path / "mentions.tsv"
    path.write_text("id\tmentions\nD:1\t4\nD:2\tmany\n")
    with pytest.raises(UserError, match="line 3, field mentions"):
        read_mentions(path)


def test_mentions_count_whole_words_once_a_text(folder):
    kg = KnowledgeGraph.load(folder)
    name = kg.names[kg.index["D:004"]]
    found = count_mentions(kg, [f"It was {name.upper()}, surely {name}.", f"not {name}x", "nothing"])
    assert found["D:004"] == 1


def test_a_finding_is_had_by_way_of_a_narrower_one():
    facts = Facts(invented_graph.graph())
    kg = facts.kg
    broad, narrow = kg.index["T:001"], kg.index["T:041"]
    assert facts.findings.has[narrow] and facts.findings.has[narrow] & ~facts.findings.has[broad] == 0


@pytest.mark.parametrize(
    "shown, option, symbol, told",
    [
        ("Abnormal cranial shape", "Cranium bifidum", False, True),
        ("Pansynostosis", "Craniosynostosis 2", False, True),
        ("Short stature", "Marfan syndrome", False, False),
        ("Deafness due to GJB2", "GJB2", True, True),
        ("GJB24 deficiency", "GJB2", True, False),
        ("患糖尿病多年", "新生儿糖尿病", False, True),
        ("甲状腺", "肾上腺", False, False),
    ],
)
def test_telltale_names(shown, option, symbol, told):
    assert Telltale([(option, symbol), ("Zzyzx", False)]).in_text(shown) is told


def test_the_gene_in_the_name_of_a_variant_counts_as_shown_and_is_not_told_twice(rows):
    told = [r for r in rows if r["provenance"]["family"].startswith("variant-gene") and "Z p.Xaa" in r["question"]]
    assert told
    for row in told:
        symbol = row["provenance"]["start_text"].split()[0]
        assert list(row["provenance"]["shown"].values())[0] == symbol and row["question"].count(symbol) == 1


def test_an_unmasked_bridge_is_named_and_a_masked_one_is_not(rows):
    shown = [row for row in rows if row["provenance"]["shown"]]
    assert shown
    for row in shown:
        assert all(text in row["question"] for text in row["provenance"]["shown"].values())
        assert row["provenance"]["masked"], json.dumps(row)
