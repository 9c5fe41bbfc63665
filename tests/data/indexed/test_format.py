"""The files are those of megatron-core's own builder, byte by byte, and its reader reads them."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleming_nemo.data import corpus
from fleming_nemo.data.indexed import format as format_
from fleming_nemo.data.indexed.format import Index, token_dtype, write_index
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.parallel import cpu_backend

cpu_backend.enable()

from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder  # noqa: E402


def builders_files(folder: Path, documents: list[list[int]], dtype: type) -> tuple[bytes, bytes]:
    builder = IndexedDatasetBuilder(str(folder / "theirs.bin"), dtype=dtype)
    for document in documents:
        builder.add_document(torch.tensor(document), [len(document)])
    builder.finalize(str(folder / "theirs.idx"))
    return (folder / "theirs.bin").read_bytes(), (folder / "theirs.idx").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=40), vocabulary=st.sampled_from([320, 151_936]))
def test_bytes_of_megatrons_builder(
    sizes: list[int], vocabulary: int, tmp_path: Path, chat: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(format_, "_STRETCH", 7)
    monkeypatch.setattr(chat, "size", vocabulary)
    rng = random.Random(sum(sizes))
    documents = [[rng.randrange(vocabulary) for _ in range(size)] for size in sizes]
    masks = [[rng.randrange(2) for _ in range(size)] for size in sizes]
    corpus.write(tmp_path / "ours", zip(documents, masks, strict=True), chat, {}, {})
    for stream, values, dtype in (("tokens", documents, DType.optimal_dtype(vocabulary)), ("mask", masks, np.uint8)):
        bin_, idx = builders_files(tmp_path, values, dtype)
        assert (tmp_path / "ours" / f"{stream}.bin").read_bytes() == bin_
        assert (tmp_path / "ours" / f"{stream}.idx").read_bytes() == idx
        theirs = IndexedDataset(str(tmp_path / "ours" / stream))
        assert [theirs[n].tolist() for n in range(len(theirs))] == values


@pytest.mark.parametrize("vocabulary", [1, 65_499, 65_500, 151_936])
def test_type_of_tokens(vocabulary: int) -> None:
    assert token_dtype(vocabulary) == np.dtype(DType.optimal_dtype(vocabulary))


@given(lengths=st.lists(st.integers(1, 2**20), min_size=1, max_size=50))
def test_an_index_is_read_as_written(lengths: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "x.idx"
    write_index(file, np.array(lengths), np.dtype("<i4"))
    index = Index(file)
    assert index.lengths.tolist() == lengths
    assert index.offsets.tolist() == [4 * sum(lengths[:n]) for n in range(len(lengths))]
