"""Chains find their items whatever the order of the files, and wherever the files are cut."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.indexed import join
from fleming_nemo.data.indexed.join import Inputs, finder, scan

IDS = [f"a{n}" for n in range(12)] + ['quo"te', "é", "\u2028"]


def files(folder: Path, items: list[str], chains: list[str]) -> Inputs:
    inputs = Inputs(folder / "items.jsonl", folder / "chains.jsonl", folder / "index.npy")
    inputs.index.unlink(missing_ok=True)
    for path, key, ids in ((inputs.items, "id", items), (inputs.chains, "item_id", chains)):
        rows = [{key: id_, "n": n} if n % 3 else {"n": n, key: id_} for n, id_ in enumerate(ids)]
        lines = [json.dumps(row, ensure_ascii=n % 2 == 0) + "\n" for n, row in enumerate(rows)]
        path.write_text("".join(lines), encoding="utf-8")
    return inputs


def joined(inputs: Inputs) -> list[tuple[str, str, int]]:
    """(id of the chain, id of the item found for it, its line), read stretch by stretch as the workers do."""
    pairs = []
    for stretch in scan(inputs):
        with open(inputs.chains, "rb") as chains, open(inputs.items, "rb") as items:
            chains.seek(stretch.offset)
            find = finder(inputs, stretch, items)
            for _ in range(stretch.count):
                wanted = json.loads(chains.readline())["item_id"]
                line, number = find(wanted)
                pairs.append((wanted, json.loads(line)["id"], number))
    return pairs


@given(items=st.permutations(IDS), data=st.data(), lines=st.integers(1, 6), in_order=st.booleans())
def test_every_chain_meets_its_item(
    items: list[str], data: st.DataObject, lines: int, in_order: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chains = data.draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=25))
    if in_order:
        chains.sort(key=items.index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "LINES", lines)
        inputs = files(tmp_path_factory.getbasetemp(), items, chains)
        assert joined(inputs) == [(id_, id_, items.index(id_) + 1) for id_ in chains]
    if in_order:
        assert not inputs.index.exists()


@pytest.mark.parametrize("chains", [["b", "nobody"], ["c", "nobody", "a"]])
def test_a_chain_without_an_item(tmp_path: Path, chains: list[str]) -> None:
    with pytest.raises(KeyError, match="nobody"):
        joined(files(tmp_path, ["a", "b", "c"], chains))


def test_ids_of_one_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_key", lambda id_: 7)
    chains = ["c", "a", "b", "a"]
    assert [found for _, found, _ in joined(files(tmp_path, ["a", "b", "c"], chains))] == chains


def test_a_line_without_an_id(tmp_path: Path) -> None:
    inputs = files(tmp_path, ["a", "b"], ["a", "b"])
    inputs.items.write_text('{"id": "a"}\n[]\n')
    with pytest.raises(UserError, match="items.jsonl, line 2: no JSON object with an id"):
        joined(inputs)
