"""The options alone say nothing, and the probe that measures this does find a planted leak."""

import copy

from options_only import neighbours, probe


def test_the_options_alone_do_not_tell_the_answer(rows, folder):
    accuracy, chance, number, error = probe(rows, *neighbours(folder))
    assert number > 150
    assert accuracy < chance + 4 * error


def test_the_probe_finds_the_centre_of_near_misses(rows, folder):
    """The leak of distractors drawn around the answer: here the option nearest to all others is marked as right."""
    near, degree, relations = neighbours(folder)
    spoilt = copy.deepcopy([row for row in rows if len(row["options"]) > 2])
    for row in spoilt:
        p = row["provenance"]
        node_of = {d["option"]: d["node"] for d in p["distractors"]} | {row["options"][row["answer"]]: p["answer_node"]}
        p["distractors"] = [{"option": text, "node": node} for text, node in node_of.items()]
        nodes = [node_of[text] for text in row["options"]]
        row["answer"] = max(range(len(nodes)), key=lambda i, n=nodes: sum(len(near[n[i]] & near[o]) for o in n))
    accuracy, chance, _, error = probe(spoilt, near, degree, relations)
    assert accuracy > chance + 8 * error
