"""Each sample once an epoch: for any number of ranks, after a resume anywhere, alone or blended."""

from collections import Counter
from pathlib import Path

import lessons_fixture
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data import corpus, packing
from fleming_nemo.data.corpus import Corpus, open_corpus
from fleming_nemo.data.indexed import blend
from fleming_nemo.data.indexed.blend import Blend, interleave, quotas
from fleming_nemo.data.tokenizer import ChatTokenizer, train_bpe
from fleming_nemo.sft.run import _places

BUDGET = 24


def write(folder: Path, chat: ChatTokenizer, count: int, first: int = 0, pack: int = BUDGET) -> Path:
    """Documents of 2..9 tokens that all say their number."""
    documents = [([first + n] * (2 + n % 8), [0] + [1] * (1 + n % 8)) for n in range(count)]
    corpus.write(folder, documents, chat, {}, {}, pack)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, chat: ChatTokenizer) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("corpora")
    made = {
        "documents": write(root / "documents", chat, 41, pack=0),
        "packs": write(root / "packs", chat, 41),
        "more": write(root / "more", chat, 150, first=100),
    }
    blend.write(root / "blend", {made["packs"]: 0.25, made["more"]: 0.75})
    return made | {"blend": root / "blend"}


def read(found: Corpus | Blend, start: int, count: int, seed: int, ranks: int) -> Counter[int]:
    """Documents that the ranks read for some samples, dealt out as `micro_batches` does."""
    samples = found.samples(start, count, seed)
    documents = np.concatenate(samples)
    lengths = found.lengths[documents].tolist()
    dealt = packing.plan(lengths, BUDGET, ranks, known=_places(samples) if found.packed else ())
    seen: Counter[int] = Counter()
    for rank in dealt:
        for pack in rank:
            for place in pack:
                tokens, mask = found[int(documents[place])]
                assert len(tokens) == len(mask) == lengths[place] and len(set(tokens.tolist())) == 1
                seen[int(tokens[0])] += 1
    return seen


@pytest.mark.parametrize("kind", ["documents", "packs"])
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_an_epoch_is_the_corpus(
    kind: str, folders: dict[str, Path], chat: ChatTokenizer, data: st.DataObject, seed: int
) -> None:
    found = open_corpus(folders[kind], chat)
    epoch, size = data.draw(st.integers(0, 3)), found.num_samples
    cut = data.draw(st.integers(0, size))
    before, after = data.draw(st.sampled_from([1, 2, 4])), data.draw(st.sampled_from([1, 2, 4]))
    seen: Counter[int] = Counter()
    at = epoch * size
    # up to the cut with one number of ranks, then resumed by position alone with another
    for stop, ranks in ((epoch * size + cut, before), ((epoch + 1) * size, after)):
        while at < stop:
            count = min(data.draw(st.integers(1, 9)), stop - at)
            seen += read(found, at, count, seed, ranks)
            at += count
    assert seen == Counter(range(41))


def test_packs_are_the_unit_where_there_is_a_plan(folders: dict[str, Path], chat: ChatTokenizer) -> None:
    found = Corpus(folders["packs"], chat)
    assert found.packed and found.num_samples < len(found) == 41
    sizes = [found.lengths[documents].sum() for documents in found.samples(0, found.num_samples, seed=3)]
    assert max(sizes) <= BUDGET and sorted(sizes)[1] > BUDGET // 2
    assert found.samples(0, 50, seed=3)[7].tolist() == found.samples(7, 1, seed=3)[0].tolist()
    stored = np.concatenate(found.samples(0, found.num_samples, seed=3, shuffle=False))
    assert stored.tolist() == np.concatenate([found.sample(n) for n in range(found.num_samples)]).tolist()


@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 4), cut=st.integers(0, 30))
def test_an_epoch_of_a_blend_has_the_quotas(
    folders: dict[str, Path], chat: ChatTokenizer, seed: int, epoch: int, cut: int
) -> None:
    found = open_corpus(folders["blend"], chat)
    assert isinstance(found, Blend)
    small, large = Corpus(folders["packs"], chat), Corpus(folders["more"], chat)
    size = found.num_samples
    # the one that needs the longest for its weight is seen exactly once
    assert max(small.num_samples / 0.25, large.num_samples / 0.75) == pytest.approx(size, abs=1)
    samples = found.samples(epoch * size, size, seed)
    halves = found.samples(epoch * size, cut, seed) + found.samples(epoch * size + cut, size - cut, seed)
    assert all((one == other).all() for one, other in zip(samples, halves, strict=True))
    of_small = [n for n, documents in enumerate(samples) if documents[0] < len(small)]
    assert abs(len(of_small) - size / 4) <= 1
    # and so is every stretch of it
    for start in range(0, size - 8):
        assert 1 <= sum(start <= n < start + 8 for n in of_small) <= 3
    seen = Counter(int(found[int(d)][0][0]) for documents in samples for d in documents)
    assert {n: seen[n] for n in range(100, 250)} == dict.fromkeys(range(100, 250), 1)


def test_a_corpus_of_a_blend_is_repeated_only_when_all_of_it_was_seen(
    folders: dict[str, Path], chat: ChatTokenizer
) -> None:
    """Over three epochs, whose quota of the smaller corpus is no multiple of its size."""
    found = Blend(folders["blend"], chat)
    small = Corpus(folders["packs"], chat)
    assert found.quotas[0] % small.num_samples
    stream = [d for d in found.samples(0, 3 * found.num_samples, seed=5) if d[0] < len(small)]
    for start in range(0, len(stream) - small.num_samples + 1, small.num_samples):
        together = np.concatenate(stream[start : start + small.num_samples])
        assert sorted(together.tolist()) == list(range(41))


@given(sizes=st.lists(st.integers(1, 500), min_size=2, max_size=5), data=st.data())
def test_quotas_and_their_order(sizes: list[int], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.05, 1), min_size=len(sizes), max_size=len(sizes)))
    found = quotas(sizes, weights)
    assert any(quota == size for quota, size in zip(found, sizes, strict=True))
    assert all(quota >= size for quota, size in zip(found, sizes, strict=True))
    order = interleave(found)
    assert sorted(order.tolist()) == list(range(sum(found)))
    ends = np.cumsum(found)
    for part, quota in enumerate(found):
        mine = order[(order < ends[part]) & (order >= ends[part] - quota)]
        assert (np.diff(mine) == 1).all()


class TestBlendsThatAreRefused:
    def test_weights(self, folders: dict[str, Path], tmp_path: Path) -> None:
        for weights in ({folders["packs"]: 1.0}, {folders["packs"]: 1.0, folders["more"]: 0.0}):
            with pytest.raises(UserError, match="a blend needs two corpora or more"):
                blend.write(tmp_path, weights)

    def test_packs_and_documents(self, folders: dict[str, Path], tmp_path: Path) -> None:
        with pytest.raises(UserError, match="build all with the same --pack"):
            blend.write(tmp_path, {folders["packs"]: 1, folders["documents"]: 1})

    def test_tokenizers(self, folders: dict[str, Path], tmp_path: Path) -> None:
        other = write(tmp_path / "other", train_bpe(["entirely different words"], 300, tmp_path / "t"), 9)
        with pytest.raises(UserError, match="another tokenizer than the other corpora"):
            blend.write(tmp_path / "blend", {folders["packs"]: 1, other: 1})

    def test_a_blend_of_blends(self, folders: dict[str, Path], tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is a blend itself"):
            blend.write(tmp_path, {folders["packs"]: 1, folders["blend"]: 1})

    def test_over_a_corpus(self, folders: dict[str, Path], chat: ChatTokenizer, tmp_path: Path) -> None:
        write(tmp_path, chat, 9)
        with pytest.raises(UserError, match="holds a corpus"):
            blend.write(tmp_path, {folders["packs"]: 1, folders["more"]: 1})

    def test_a_corpus_built_again(self, chat: ChatTokenizer, tmp_path: Path) -> None:
        corpora = [write(tmp_path / name, chat, 9) for name in "ab"]
        blend.write(tmp_path / "blend", dict.fromkeys(corpora, 1.0))
        assert corpus.check(tmp_path / "blend", chat)["documents"] == 18
        write(corpora[1], chat, 10)
        with pytest.raises(UserError, match="b was built again after"):
            open_corpus(tmp_path / "blend", chat)

    def test_a_corpus_that_is_gone(self, chat: ChatTokenizer, tmp_path: Path) -> None:
        corpora = [write(tmp_path / name, chat, 9) for name in "ab"]
        blend.write(tmp_path / "blend", dict.fromkeys(corpora, 1.0))
        (corpora[0] / "manifest.json").unlink()
        with pytest.raises(UserError, match="no corpus in .*a .manifest.json is missing"):
            open_corpus(tmp_path / "blend", chat)


def test_fixture_chains_differ() -> None:
    items = lessons_fixture.items(20)
    assert len({str(lessons_fixture.chain(item)["reasoning"]) for item in items}) > 5
