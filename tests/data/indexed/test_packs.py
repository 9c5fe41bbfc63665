"""The stored packing plan: every document once, nothing above the budget, nearly full, quick."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.data.indexed import packs
from fleming_nemo.data.indexed.packs import Packs, best_fit
from fleming_nemo.data.packing import _best_fit, plan

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=60)


@given(lengths=LENGTHS, budget=st.integers(100, 300))
def test_as_few_packs_as_plain_best_fit(lengths: list[int], budget: int) -> None:
    chosen = best_fit(np.array(lengths), budget)
    assert max(np.bincount(chosen, weights=lengths)) <= budget
    assert len(set(chosen.tolist())) == len(_best_fit(lengths, budget))


@given(lengths=LENGTHS, budget=st.integers(100, 300), window=st.integers(1, 70))
def test_every_document_is_in_one_pack(
    lengths: list[int], budget: int, window: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "WINDOW", window)
        about = packs.write(folder, np.array(lengths, np.int32), budget)
    stored = Packs(folder)
    found = [stored[n].tolist() for n in range(len(stored))]
    assert sorted(document for pack in found for document in pack) == list(range(len(lengths)))
    assert all(sum(lengths[document] for document in pack) <= budget for pack in found)
    assert about["packs"] == len(found)
    assert about["fill"] == pytest.approx(sum(lengths) / budget / len(found), abs=1e-6)
    # read without shuffling, documents come from front to back
    assert all(pack == sorted(pack) for pack in found)
    firsts = [pack[0] for pack in found]
    assert firsts == sorted(firsts)


def test_a_document_longer_than_a_pack_is_refused() -> None:
    with pytest.raises(ValueError, match="101 tokens does not fit into packs of 100"):
        best_fit(np.array([3, 101]), 100)


def test_a_hundred_thousand_documents_take_a_second(tmp_path: Path) -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(6.5, 0.6, 100_000), 64, 8192).astype(np.int32)
    began = time.process_time()
    assert packs.write(tmp_path, lengths, 8192)["fill"] > 0.995
    assert time.process_time() - began < 5  # 0.2 s on an idle machine


def test_training_keeps_a_stored_packing_that_a_plan_of_its_own_would_not_reach() -> None:
    """Neither longest-first into the emptiest pack nor best fit finds the two packs of 20 that there are."""
    lengths, known = [6, 6, 8, 13, 5, 2], [[0, 1, 2], [3, 4, 5]]
    assert sorted(plan(lengths, 20, ranks=1, known=known)[0]) == known
    assert len(plan(lengths, 20, ranks=1)[0]) == 3
    # padded to another alignment the packs would be too large, and so are not used
    longer = [6, 6, 8, 14, 6, 2]
    dealt = plan(longer, 20, ranks=1, known=known)[0]
    assert len(dealt) == 3 and max(sum(longer[i] for i in pack) for pack in dealt) <= 20
