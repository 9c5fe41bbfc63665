"""The rollout bank: what is in it is exactly what was put in, or it is not there."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.bank import Bank, Groups, lineage
from fleming_nemo.rollout.types import Rollout

rollouts = st.builds(
    lambda logprobs, finished, seed: Rollout(
        [(7 * n) % 151_936 for n in range(len(logprobs))], np.array(logprobs, np.float32), finished, seed, 3
    ),
    st.lists(st.floats(-50, 0, width=32), max_size=12),
    st.booleans(),
    st.integers(0, 2**63 - 1),
)
groups = st.dictionaries(
    st.integers(0, 5000), st.tuples(st.text(max_size=8), st.lists(rollouts, min_size=1, max_size=3)), min_size=1
)


def equal(a: Groups, b: Groups) -> bool:
    def plain(of: Groups) -> dict:
        return {
            n: (item, [(r.tokens, r.logprobs.tobytes(), r.finished, r.seed, r.weight_version) for r in rows])
            for n, (item, rows) in of.items()
        }

    return plain(a) == plain(b)


def some(first: int = 0) -> Groups:
    rollout = Rollout([1, 2], np.array([-0.5, -1.5], np.float32), True, 11, 3)
    return {n: (f"item {n}", [rollout, rollout]) for n in (first, first + 1)}


@settings(max_examples=50, deadline=None)
@given(groups)
def test_what_is_banked_comes_back(tmp_path_factory: pytest.TempPathFactory, made: Groups) -> None:
    bank = Bank(tmp_path_factory.mktemp("run") / "bank")
    bank.add(4, "policy", made)
    assert equal(bank.of_step(4, "policy"), made)
    assert equal(bank.recorded(4), made)
    assert bank.of_step(5, "policy") == {}


def test_waves_of_a_step_add_up(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.add(0, "policy", some(0))
    bank.add(0, "policy", some(2))
    assert sorted(bank.of_step(0, "policy")) == [0, 1, 2, 3]


def test_another_policy_finds_nothing(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.add(0, lineage("", 0.5, 1.25), some())
    assert bank.of_step(0, lineage("", 0.5, 1.2500000000000002)) == {}
    assert equal(bank.of_step(0, lineage("", 0.5, 1.25)), some())


@pytest.mark.parametrize("damage", ["a byte", "the end", "everything"])
def test_a_damaged_file_is_not_used(damage: str, tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.add(0, "policy", some(0))
    bank.add(0, "policy", some(2))
    file = sorted((tmp_path / "step_0").iterdir())[0]
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes({"a byte": bytes(raw), "the end": raw[:-9], "everything": b""}[damage])
    assert sorted(bank.of_step(0, "policy")) == [2, 3]
    with pytest.raises(UserError, match="checksum is wrong; record the run again"):
        bank.recorded(0)


def test_a_torn_write_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """What a killed process had under its temporary name."""
    bank = Bank(tmp_path)
    bank.add(0, "policy", some(0))
    (tmp_path / "step_0" / ".000002-2.rollouts.99.tmp").write_bytes(b"half")
    assert sorted(bank.of_step(0, "policy")) == [0, 1]


def test_steps_of_a_checkpoint_are_forgotten(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    for step in range(3):
        bank.add(step, "policy", some())
    bank.forget(2)
    assert [bank.of_step(step, "policy") != {} for step in range(3)] == [False, False, True]


def test_a_step_that_was_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rollouts of step 8; rollout.record names"):
        Bank(tmp_path).recorded(7)
