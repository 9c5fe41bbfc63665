"""Turns: who is asked next."""

import random
from itertools import islice

import invented_graph
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.items import read_items
from fleming_nemo.rods.kg.table import KnowledgeGraph
from fleming_nemo.rods.synth.coverage import under_covered
from fleming_nemo.rods.synth.generate import Generator
from fleming_nemo.rods.synth.quotas import SIZES, Quotas, Sizes, filled
from fleming_nemo.rods.synth.sampler import Sampler


@pytest.fixture(scope="module")
def kg():
    return invented_graph.graph()


def turns_of(kg, mentions, shard, name="rare-first"):
    sampler = Sampler(kg, mentions, name, seed=1)
    pool = sorted(kg.of_type("disease").tolist(), key=sampler.place.__getitem__)
    return sampler.turns(shard, random.Random(shard)), pool


def test_nobody_is_asked_again_before_all_had_their_turn(kg):
    turns, pool = turns_of(kg, {}, shard=3)
    seeds, asked = turns.seeds(pool), []
    for _ in range(2 * len(pool)):
        asked.append(next(seeds))
        turns.done((asked[-1],))
    assert sorted(asked[: len(pool)]) == sorted(pool) == sorted(asked[len(pool) :])


def test_what_was_asked_on_the_path_of_another_question_is_passed_over(kg):
    turns, pool = turns_of(kg, {}, shard=0)
    first = list(islice(turns.seeds(pool), 10))
    turns, _ = turns_of(kg, {}, shard=0)
    turns.done(first)
    assert not set(first) & set(islice(turns.seeds(pool), len(pool) - 10))


def test_shards_start_at_different_places_and_share_the_entities_evenly(kg):
    counts = dict.fromkeys(turns_of(kg, {}, 0)[1], 0)
    for shard in range(24):
        turns, pool = turns_of(kg, {}, shard)
        for node in islice(turns.seeds(pool), 20):
            counts[node] += 1
    assert min(counts.values()) >= 2 and max(counts.values()) <= 6  # 24 * 20 turns over 120 diseases: 4 each


def test_often_mentioned_entities_sit_out_most_turns(kg):
    often = {kg.ids[n]: 50 for n in kg.of_type("disease").tolist()[::2]}
    share = 0.0
    for shard in range(20):
        turns, pool = turns_of(kg, often, shard)
        first = list(islice(turns.seeds(pool), 60))
        share += sum(kg.ids[n] in often for n in first) / 60 / 20
    assert share < 0.2


def test_left_to_others_means_asked_last(kg):
    turns, pool = turns_of(kg, {}, shard=5)
    later = set(pool[::2])
    assert not later & set(islice(turns.seeds(pool, later), len(pool) // 2))
    assert set(turns.order(pool, later)[: len(pool) // 2]).isdisjoint(later)


def test_an_unknown_sampler_names_those_there_are(kg):
    with pytest.raises(UserError, match="rare-first, uniform"):
        Sampler(kg, {}, "often-first", 1)


def test_rare_first_covers_more_under_covered_diseases_by_the_same_number_of_questions(tmp_path):
    folder = invented_graph.write(tmp_path, num_diseases=400)
    kg = KnowledgeGraph.load(folder)
    mentions = {f"D:{d:03d}": 3 if d % 10 else 40 for d in range(400)}
    covered = {}
    for sampler in ("rare-first", "uniform"):
        generator = Generator(kg, 1, mentions, sampler, "v", {})
        items = [item for shard in range(2) for item in generator.shard("sft", shard, 100)[0][:100]]
        askable = [kg.ids[n] for n in generator.askable()]
        covered[sampler] = under_covered(items, mentions, kg, askable=askable)
        assert covered[sampler]["items"] == 200 and covered[sampler]["in_graph"] == 360
    assert covered["rare-first"]["covered"] > 1.15 * covered["uniform"]["covered"]
    assert covered["rare-first"]["askable"] == covered["uniform"]["askable"] >= 300


def test_the_funnel_counts_under_covered_diseases_as_the_items_do(corpus, folder):
    out, funnel = corpus
    items = [item for split in ("sft", "rl", "heldout") for item in read_items(out / f"items_{split}.jsonl")]
    counted = under_covered(items, {}, KnowledgeGraph.load(folder))
    assert counted["covered"] == funnel["under_covered_diseases"]["covered"] > 80
    assert funnel["under_covered_diseases"]["in_graph"] == counted["in_graph"] == 120


def test_what_a_family_cannot_take_goes_to_the_others():
    assert filled({"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.1, "b": 9, "c": 9}) == pytest.approx(
        {"a": 0.1, "b": 0.45, "c": 0.45}
    )
    assert filled({"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.1}) == {"a": 0.2, "b": 0.1}


def test_quotas_keep_shares_and_do_not_wait_for_what_yields_nothing():
    quotas, made = Quotas({"a": 0.6, "b": 0.3, "never": 0.1}), {"a": 0, "b": 0, "never": 0}
    for _ in range(1000):
        key = quotas.next()
        number = {"a": 3, "b": 3, "never": 0}[key]
        made[key] += number
        quotas.spend(key, number)
    assert made["a"] / made["b"] == pytest.approx(2, rel=0.02) and made["a"] > 1000


def test_sizes_keep_their_shares_by_question_even_when_long_lists_fall_short():
    sizes, rng, made = Sizes(), random.Random(0), dict.fromkeys(range(2, 22), 0)
    while sum(made.values()) < 20_000:
        size = sizes.draw(21, rng)
        size = size - rng.choice((0, 0, 1, 2)) if size > 15 else size
        sizes.made(size)
        made[size] += size
    for size in (4, 5, 10, 21):
        assert made[size] / 20_000 == pytest.approx(SIZES[size], rel=0.25)
