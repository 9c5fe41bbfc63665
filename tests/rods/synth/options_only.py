#!/usr/bin/env python3
"""Train a classifier that sees the options and never the question; what it gets right beyond chance is a leak.

    python tests/rods/synth/options_only.py --graph data/kg data/rods/items_sft.jsonl

Per option it sees the hashed words and pieces of the name, length, degree in the graph by relation, and how close the
name and the graph neighbours are to those of the other options (the centre of its near misses gives an answer away).
Softmax regression over the options of each question; option lists of the test fifth do not occur in training.
"""

import argparse
import json
import math
import zlib
from collections import Counter, defaultdict

import numpy as np
import pyarrow.parquet as pq

HASHED = 4096
RATE, EPOCHS, DECAY = 0.1, 6, 1e-4


def neighbours(folder):
    table = pq.read_table(f"{folder}/edges.parquet", columns=["subject", "relation", "object"]).to_pydict()
    near, degree = defaultdict(set), Counter()
    for s, r, o in zip(*table.values(), strict=True):
        near[s].add(o)
        near[o].add(s)
        degree[s, r] += 1
        degree[o, r] += 1
    return near, degree, sorted(set(table["relation"]))


def pieces(name):
    words = name.lower().split()
    return [f"w{w}" for w in words] + [f"p{w[:4]}" for w in words] + [f"s{w[-4:]}" for w in words]


def features(row, near, degree, relations):
    """(hashed indices by option, dense matrix)."""
    node_of = {d["option"]: d["node"] for d in row["provenance"]["distractors"]}
    nodes = [node_of.get(text, row["provenance"]["answer_node"]) for text in row["options"]]
    words = [set(pieces(text)) for text in row["options"]]
    dense = []
    for i, (text, node) in enumerate(zip(row["options"], nodes, strict=True)):
        others = [j for j in range(len(nodes)) if j != i]
        alike = [len(words[i] & words[j]) / len(words[i] | words[j]) for j in others]
        shared = [math.log1p(len(near[node] & near[nodes[j]])) for j in others]
        degrees = [math.log1p(degree[node, r]) for r in relations]
        dense.append([len(text) / 30, max(alike), sum(alike) / len(alike), max(shared), np.mean(shared), *degrees])
    matrix = np.array(dense)
    matrix -= matrix.mean(0)
    return [[zlib.crc32(p.encode()) % HASHED for p in sorted(w)] for w in words], matrix


def probe(rows, near, degree, relations, seed=0):
    """(accuracy, chance, number of test questions, standard error)."""
    data = [(features(row, near, degree, relations), row["answer"]) for row in rows]
    lists = sorted({tuple(sorted(row["options"])) for row in rows})
    test_lists = {key for key in lists if zlib.crc32("|".join(key).encode()) % 5 == 0}
    test = [tuple(sorted(row["options"])) in test_lists for row in rows]
    train = [i for i, held in enumerate(test) if not held]
    hashed, dense = np.zeros(HASHED), np.zeros(data[0][0][1].shape[1])
    rng = np.random.default_rng(seed)

    def scores(words, matrix):
        return matrix @ dense + np.array([hashed[w].sum() for w in words])

    for epoch in range(EPOCHS):
        rate = RATE / (1 + epoch)
        for i in rng.permutation(train):
            (words, matrix), answer = data[i]
            z = scores(words, matrix)
            p = np.exp(z - z.max())
            gap = -p / p.sum()
            gap[answer] += 1
            dense += rate * 0.1 * (gap @ matrix - DECAY * dense)
            for w, g in zip(words, gap, strict=True):
                np.add.at(hashed, w, rate * g)
    judged = [i for i, held in enumerate(test) if held]
    right = sum(int(np.argmax(scores(*data[i][0]))) == data[i][1] for i in judged)
    chances = [1 / len(rows[i]["options"]) for i in judged]
    error = math.sqrt(sum(c * (1 - c) for c in chances)) / len(judged)
    return right / len(judged), sum(chances) / len(judged), len(judged), error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", required=True)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    rows = []
    for path in args.files:
        with open(path, encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    accuracy, chance, number, error = probe(rows[: args.items], *neighbours(args.graph))
    print(f"{number} test questions: {accuracy:.4f} right, chance {chance:.4f} +- {error:.4f}")


if __name__ == "__main__":
    main()
