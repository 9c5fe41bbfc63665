"""Weights that somebody trained: SmolLM2-135M through Megatron and through transformers' own LlamaForCausalLM.

Random weights hide what a trained model shows: a rotary base or a norm epsilon that is off changes their logits little.
"""

from pathlib import Path
from typing import Any

import pytest
import smollm2
import tiny
import torch
import weights_work as work
from harness import Case, Harness, value
from safetensors.torch import load_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.validate import validate

SIZES: dict[str, dict[str, Any]] = {"tp1": {}, "tp3": {"tp": 3}, "pp2": {"pp": 2}}
"""Three key/value heads: three tensor-parallel ranks hold one each."""
# "The heart pumps blood through the arteries to every organ, and the veins carry it back to the heart."
TOKENS = [
    504,
    1911,
    15834,
    1670,
    738,
    260,
    14529,
    288,
    897,
    1192,
    28,
    284,
    260,
    15062,
    3631,
    357,
    1056,
    288,
    260,
    1911,
    30,
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    """Downloaded and converted once, then kept in pytest's cache."""
    return smollm2.fetch_smollm2(pytestconfig.cache.mkdir("smollm2"))


@pytest.fixture(scope="module")
def expected(folder: Path) -> torch.Tensor:
    """transformers' logits [T, V]."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0]


@pytest.fixture(scope="module")
def results(harness: Harness, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    outs = tmp_path_factory.mktemp("smollm2")
    cases = []
    for layout, sizes in SIZES.items():
        cfg = tiny.config("smollm2-135m", **sizes)
        world = sizes.get("tp", 1) * sizes.get("pp", 1)
        validate(cfg, world)
        shards = (cfg, folder, outs / layout, ARCHS["smollm2-135m"], 200_000_000)
        jobs = [("logits", work.logits, (cfg, folder, TOKENS)), ("reexport", work.reexport, shards)]
        cases.append(Case(f"smollm2 {layout}", work.several, (jobs,), world))
    harness.run(cases)
    return harness.results | {"outs": outs}


def test_the_witness_can_speak(expected: torch.Tensor) -> None:
    """A converted model that lost its meaning would agree with itself as well."""
    loss = torch.nn.functional.cross_entropy(expected[:-1], torch.tensor(TOKENS[1:]))
    assert loss < 4, "as good as any text is to random weights: log(49152) = 10.8"


@pytest.mark.parametrize("layout", SIZES)
def test_logits_equal_those_of_transformers(layout: str, expected: torch.Tensor, results: dict[str, Any]) -> None:
    torch.testing.assert_close(value(results, f"smollm2 {layout}")["logits"], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("layout", SIZES)
def test_export_gives_back_every_bit(layout: str, folder: Path, results: dict[str, Any]) -> None:
    value(results, f"smollm2 {layout}")
    imported = load_file(folder / "model.safetensors")
    shards = sorted((results["outs"] / layout).glob("*.safetensors"))
    assert len(shards) > 2
    for file in shards:
        for key, tensor in load_file(file).items():
            assert torch.equal(imported.pop(key), tensor), key
        file.unlink()  # half a gigabyte for each layout
    assert not imported
