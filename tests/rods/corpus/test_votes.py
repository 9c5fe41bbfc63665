"""The label check by a model behind an endpoint: the same votes, the same review file, the pass rate as difficulty."""

from dataclasses import replace

from endpoint.server import Server, asked

from fleming_nemo.data.items import read_items
from fleming_nemo.endpoint import EndpointForm
from fleming_nemo.rods.corpus.difficulty import find_tiers
from fleming_nemo.rods.corpus.labels import LabelCheck, gather_votes


def test_a_model_votes_and_its_pass_rate_is_the_difficulty(built, folder, tmp_path):
    items = [replace(i, difficulty="moderate") for i in read_items(built[0] / "items_rl.jsonl")][:6]
    right = {item.question: item.letter for item in items}
    never, sometimes = items[0], items[1]

    def behave(body, nth):
        question = next(q for q in right if q in asked(body))
        letter = right[question]
        wrong = "B" if letter == "A" else "A"
        if question == never.question or (question == sometimes.question and body["seed"] in (0, 1, 2)):
            letter = wrong
        return f"<think>...</think><answer>{letter}</answer>"

    with Server(behave) as server:
        check = LabelCheck(EndpointForm(server.url, "strong"), trials=5)
        votes = gather_votes(check, items, [], folder, 1, tmp_path, 1)
        calls = sum(server.finished.values())
        assert gather_votes(check, items, [], folder, 1, tmp_path, 1) == votes
        assert sum(server.finished.values()) == calls == 30, "answers that were paid for are not asked for again"
    assert [votes[i.id].correct for i in items] == [0, 2, 5, 5, 5, 5] and check.by == "strong"
    tiers, section = find_tiers(check, items, votes)
    assert tiers == ["difficult", "moderate", *["easy"] * 4] and "pass rate of at least 0.8" in section["rule"]
