"""Folding, words, hashes, fuzzy ratio, rarity and benchmark files."""

import difflib
import gzip
import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from overlap_questions import BENCHMARK

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.overlap.entries import Entry, read_benchmark, read_benchmarks
from fleming_nemo.rods.overlap.folding import fold
from fleming_nemo.rods.overlap.hashing import RangeHash, window_starts
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.likeness import letter_ratio
from fleming_nemo.rods.overlap.profiles import letters_of
from fleming_nemo.rods.overlap.tables import HashIndex, KeyTable, Members
from fleming_nemo.rods.overlap.tokens import NUMBER, tokenise


def words(text: str) -> list[int]:
    return tokenise([text]).words.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sjögren’s", "SJOGREN'S"),
        ("ＣＯＰＤ", "copd"),
        ("H<sub>2</sub>O", "h2o"),
        ("β-blocker", "beta blocker"),
        ("pati\u00adent\u200b", "patient"),
        ("a&nbsp;&amp; b", "a & b"),
        ("раtiеnt", "patient"),
        ("ﬁbrosis", "fibrosis"),
    ],
)
def test_disguises_fold_to_the_same_words(one, other):
    assert words(one) == words(other)


def test_words_numbers_and_chinese():
    assert words("10mg 45 3.5") == [int(NUMBER), *words("mg"), *[int(NUMBER)] * 3]
    assert len(words("b12 b6")) == 2 and words("b12") != words("b6"), "a number inside a name is part of the name"
    assert len(words("血压高")) == 2 and words("血压") == words("血压高")[:1] and len(words("A型")) == 2
    assert tokenise(["3", "4"], numbers_alike=False).words[0] != tokenise(["4"], numbers_alike=False).words[0]


@given(st.lists(st.text(), max_size=6))
def test_texts_do_not_disturb_one_another(texts):
    together = tokenise(texts)
    assert len(together.word_rows) == len(together.letter_rows) == len(texts) + 1
    for row, text in enumerate(texts):
        alone = tokenise([text])
        assert together.words[together.word_rows[row] : together.word_rows[row + 1]].tolist() == alone.words.tolist()
        low, high = together.letter_rows[row : row + 2]
        assert together.letters[low:high].tolist() == alone.letters.tolist()


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 5))
def test_equal_windows_have_equal_hashes(values, width):
    array = np.array(values, np.uint64)
    hashes = RangeHash(array).windows(width).tolist()
    seen = [tuple(values[at : at + width]) for at in range(len(values) - width + 1)]
    assert len(hashes) == len(seen)
    assert len(set(zip(hashes, seen, strict=True))) == len(set(seen)) == len(set(hashes))


def test_windows_stay_within_their_row():
    assert window_starts(np.array([0, 4, 4, 6, 9]), 3).tolist() == [0, 1, 6]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5))), st.lists(st.integers(0, 20)))
def test_lookup_gives_what_a_dictionary_gives(stored, asked):
    spread = np.uint64(0x9E3779B97F4A7C15)
    keys = np.array([k for k, _ in stored], np.uint64) * spread
    index = HashIndex(keys, np.array([v for _, v in stored], np.int64))
    found = index.lookup(np.array(asked, np.uint64) * spread)
    expected = [(at, v) for at, key in enumerate(asked) for v in sorted(v for k, v in stored if k == key)]
    assert list(zip(*(side.tolist() for side in found), strict=True)) == expected


@given(st.text("abc", max_size=30), st.text("abc", max_size=30))
def test_letter_ratio_is_the_longest_common_subsequence(one, other):
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    expected = 2 * table[-1][-1] / (len(one) + len(other)) if one and other else 0.0
    assert letter_ratio(one, other) == pytest.approx(expected)
    assert letter_ratio(one, other) >= difflib.SequenceMatcher(None, one, other).ratio() - 1e-9 or not (one and other)


def test_rare_words_weigh_more_than_stock_phrases_even_for_one_question():
    rarity = BenchmarkIndex({"exam": BENCHMARK[:1]}).rarity

    def weights(text: str) -> np.ndarray:
        return rarity.weights[rarity.ids(tokenise([text]).words)]

    stock = weights("Which of the following is the most likely diagnosis in this patient?")
    assert stock.sum() < 16 < weights("deferoxamine chelating succimer").sum()
    assert weights("12 45").max() < 1


def test_letters_drop_spaces_and_changed_numbers():
    assert letters_of("A 45-year, old!") == letters_of("a7 YEAR old") == "a0yearold"
    assert fold("a\nb") == "a b"


def test_benchmark_files_and_their_bad_rows(tmp_path):
    good = {"id": "q", "question": "Why?", "options": ["a", "a", ""], "context": None}
    lines = [
        json.dumps(good),
        "{broken",
        "[1]",
        json.dumps(good | {"question": " "}),
        json.dumps(good | {"options": "ab"}),
    ]
    path = tmp_path / "exam.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n\xff\xfe\n"))
    benchmarks, rejects = read_benchmarks([path])
    assert [entry.options for entry in benchmarks["exam"]] == [("a", "a", "")]
    assert [(r["row"], r["field"]) for r in rejects] == [
        (2, "(row)"), (3, "(row)"), (4, "question"), (5, "options"), (6, "(row)")
    ]  # fmt: skip
    assert all(r["file"] == str(path) and r["reason"] and r["raw"] for r in rejects)
    with pytest.raises(UserError, match="rename the file"):
        read_benchmarks([path, path])
    with pytest.raises(UserError, match="cannot be read"):
        read_benchmark(tmp_path / "missing.jsonl")


@given(st.text(st.sampled_from("aI9 ß°é\u0301\u200bαа≥高Ａ\n<&"), max_size=30))
def test_folding_is_that_of_whole_texts(text):
    whole = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    letters = "".join(c for c in whole if unicodedata.category(c) not in ("Mn", "Cf"))
    expected = letters.replace("\n", " ").replace("α", "alpha").replace("а", "a")
    assert fold(text) == expected and fold(fold(text)) == fold(text)


def test_a_phrase_says_less_than_its_words():
    names = "Wilson Gaucher Fabry Hurler Hunter Pompe Krabbe Refsum Menkes Barth Bloom"
    asked = [Entry(name, f"Autosomal recessive inheritance is seen in {name}?", ()) for name in names.split()]
    index = BenchmarkIndex({"exam": asked})

    def weights(text: str) -> list[float]:
        tokens = tokenise([text])
        return index.phrases.weights(tokens.words, index.rarity.ids(tokens.words), np.zeros(len(tokens.words))).tolist()

    autosomal, recessive, inheritance = weights("Autosomal recessive inheritance")
    assert autosomal > 4 and recessive == inheritance == 0, "what always follows is no news"
    assert weights("recessive") == pytest.approx([autosomal]), "but it is when it stands alone"


@given(st.sets(st.integers(0, 2**64 - 1), max_size=200), st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_a_table_finds_its_keys_and_no_others(keys, strangers):
    ordered = sorted(keys)
    asked = [*ordered, *strangers]
    rows = KeyTable(np.array(ordered, np.uint64)).find(np.array(asked, np.uint64))
    assert rows.tolist() == [ordered.index(key) if key in keys else -1 for key in asked]


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 50_000)), max_size=80))
def test_a_set_never_denies_a_member(pairs):
    owner, word = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    assert Members(owner, word).has(owner, word).all()
