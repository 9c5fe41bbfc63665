"""A folder that is not the model it is taken for is refused by a sentence that names file, field or tensor."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.model import hf, hf_config
from fleming_nemo.model.hf_files import INDEX
from fleming_nemo.training.engine import Engine

ROWS = ARCHS["qwen2.5-tiny"].vocab_size

pytestmark = pytest.mark.usefixtures("one_process")


def load(folder: Path, arch: str = "qwen2.5-tiny") -> Engine:
    return tiny.engine(tiny.config(arch), folder)


def changed(source: Path, folder: Path, **tensors: torch.Tensor | None) -> Path:
    """A copy of a model folder with some tensors replaced (`__` stands for a dot) or, with None, left out."""
    state = load_file(source / "model.safetensors")
    for name, tensor in tensors.items():
        name = name.replace("__", ".")
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file(state, folder / "model.safetensors")
    shutil.copy(source / "config.json", folder)
    return folder


class TestTensors:
    def test_missing(self, weights: dict[str, Path], tmp_path: Path) -> None:
        changed(weights["qwen2.5-tiny"], tmp_path, model__layers__2__mlp__up_proj__weight=None)
        with pytest.raises(UserError, match=r"no tensor model\.layers\.2\.mlp\.up_proj\.weight"):
            load(tmp_path)

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("model__layers__1__mlp__down_proj__weight", (64, 96)),
            ("model__layers__1__self_attn__k_proj__weight", (48, 64)),
            ("model__layers__1__self_attn__k_proj__weight", (31, 64)),
            ("model__norm__weight", (32,)),
            ("model__embed_tokens__weight", (ROWS - 8, 64)),  # fewer rows are not padding
            ("model__embed_tokens__weight", (ROWS + 8, 64)),
            ("lm_head__weight", (ROWS // 2, 64)),
        ],
    )
    def test_wrong_shape(self, name: str, shape: tuple[int, ...], weights: dict[str, Path], tmp_path: Path) -> None:
        changed(weights["qwen2.5-tiny"], tmp_path, **{name: torch.zeros(shape)})
        with pytest.raises(UserError, match="do not belong together"):
            load(tmp_path)

    @pytest.mark.parametrize(
        "name", ["model__layers__4__input_layernorm__weight", "model__layers__0__self_attn__k_norm__weight"]
    )
    def test_left_over(self, name: str, weights: dict[str, Path], tmp_path: Path) -> None:
        changed(weights["qwen2.5-tiny"], tmp_path, **{name: torch.ones(64)})
        with pytest.raises(UserError, match=name.replace("__", r"\.")):
            load(tmp_path)

    def test_quantised(self, weights: dict[str, Path], tmp_path: Path) -> None:
        eight_bit = torch.zeros(64, 128, dtype=torch.float8_e4m3fn)
        changed(weights["qwen2.5-tiny"], tmp_path, model__layers__1__mlp__down_proj__weight=eight_bit)
        with pytest.raises(UserError, match=r"down_proj\.weight is of type F8_E4M3; .* without quantisation"):
            load(tmp_path)


class TestConfig:
    """Tensor shapes fit in all of these cases: only config.json tells."""

    def edited(self, source: Path, folder: Path, **fields: Any) -> Path:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        config = json.loads((source / "config.json").read_text()) | fields
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))
        return folder

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"rope_theta": 10000.0}, "rope_theta = 10000.0 where model.arch needs 1000000.0"),
            ({"rope_theta": "absent"}, "rope_theta = 10000.0 where model.arch needs 1000000.0"),
            ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_theta = 500000.0 where"),
            ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rotary scaling of type 'yarn'"),
            ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rotary scaling of type 'linear'"),
            ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e6}}, "rotary scaling of type 'llama3'"),
            ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "one of its own for each kind of layer"),
            ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5 where model.arch needs 1.0"),
            ({"rms_norm_eps": 1e-5}, "rms_norm_eps = 1e-05 where model.arch needs 1e-06"),
            ({"tie_word_embeddings": True}, "tie_word_embeddings = True where model.arch needs False"),
            ({"num_attention_heads": 8}, "num_attention_heads = 8 where model.arch needs 4"),
            ({"num_key_value_heads": None}, "num_key_value_heads = 4 where model.arch needs 2"),
            ({"head_dim": 32}, "head_dim = 32 where model.arch needs 16"),
            ({"hidden_act": "gelu"}, "hidden_act = 'gelu' where model.arch needs 'silu'"),
            ({"model_type": "llama"}, "model_type = 'llama' where model.arch needs 'qwen2'"),
            ({"num_hidden_layers": 3}, "num_hidden_layers = 3 where model.arch needs 4"),
            ({"vocab_size": 1000}, "vocab_size = 1000 where model.arch needs 1024"),
            ({"hidden_size": "absent"}, "hidden_size = None where model.arch needs 64"),
            ({"use_sliding_window": True}, "use_sliding_window = True where model.arch needs False"),
        ],
    )
    def test_another_network(
        self, fields: dict[str, Any], sentence: str, weights: dict[str, Path], tmp_path: Path
    ) -> None:
        folder = self.edited(weights["qwen2.5-tiny"], tmp_path, **fields)
        with pytest.raises(UserError, match="config.json") as caught:
            load(folder)
        assert sentence in str(caught.value)

    @pytest.mark.parametrize(
        "fields",
        [
            {"rope_theta": 1000000},
            {"rope_theta": "absent", "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
            {"rope_scaling": None, "head_dim": "absent", "hidden_act": "absent", "attention_bias": False},
            {"max_position_embeddings": 131072, "sliding_window": 131072, "use_sliding_window": False},
        ],
    )
    def test_other_ways_to_say_the_same(self, fields: dict[str, Any], weights: dict[str, Path], tmp_path: Path) -> None:
        load(self.edited(weights["qwen2.5-tiny"], tmp_path, **fields))

    def test_another_family(self, weights: dict[str, Path]) -> None:
        with pytest.raises(UserError, match="model_type = 'qwen2' where model.arch needs 'qwen3'"):
            load(weights["qwen2.5-tiny"], "qwen3-tiny")

    def test_missing(self, weights: dict[str, Path], tmp_path: Path) -> None:
        shutil.copy(weights["qwen2.5-tiny"] / "model.safetensors", tmp_path)
        with pytest.raises(UserError, match=f"no config.json in {tmp_path}"):
            load(tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_unreadable(self, text: str, weights: dict[str, Path], tmp_path: Path) -> None:
        shutil.copytree(weights["qwen2.5-tiny"], tmp_path, dirs_exist_ok=True)
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match="config.json .*copy the folder again"):
            load(tmp_path)

    @pytest.mark.parametrize("arch", sorted(ARCHS))
    def test_what_is_written_is_accepted(self, arch: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps(hf_config.config_json(ARCHS[arch], "bfloat16")))
        hf_config.check(tmp_path, ARCHS[arch])


class TestFiles:
    @pytest.fixture
    def sharded(self, weights: dict[str, Path], tmp_path: Path) -> Path:
        made = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
        hf.save(made.networks, tmp_path, made.shape, max_shard_bytes=300_000)
        return tmp_path

    def edit_index(self, folder: Path, **where: str | None) -> None:
        index = json.loads((folder / INDEX).read_text())
        for key, file in where.items():
            index["weight_map"][key.replace("__", ".")] = file
        (folder / INDEX).write_text(json.dumps(index))

    def test_none(self, weights: dict[str, Path], tmp_path: Path) -> None:
        shutil.copy(weights["qwen2.5-tiny"] / "config.json", tmp_path)
        with pytest.raises(UserError, match=r"no \*\.safetensors in"):
            load(tmp_path)

    def test_one_shard_missing(self, sharded: Path) -> None:
        (lost,) = sharded.glob("model-00002-of-*")
        lost.unlink()
        with pytest.raises(UserError, match=f"has no {lost.name}, which {INDEX} names"):
            load(sharded)

    def test_one_shard_missing_without_an_index(self, sharded: Path) -> None:
        (sharded / INDEX).unlink()
        load(sharded)  # the names say it all
        next(sharded.glob("model-00002-of-*")).unlink()
        with pytest.raises(UserError, match="has no tensor"):
            load(sharded)

    @pytest.mark.parametrize("keep", [-1, 100, 0])
    def test_cut_off(self, keep: int, sharded: Path) -> None:
        (file,) = sharded.glob("model-00002-of-*")
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(UserError, match=f"{file.name} is cut off or damaged"):
            load(sharded)

    def test_not_safetensors(self, sharded: Path) -> None:
        (file,) = sharded.glob("model-00002-of-*")
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")  # a clone without LFS
        with pytest.raises(UserError, match=f"{file.name} is cut off or damaged"):
            load(sharded)

    def test_index_and_single_file(self, sharded: Path, weights: dict[str, Path]) -> None:
        shutil.copy(weights["qwen2.5-tiny"] / "model.safetensors", sharded)
        with pytest.raises(UserError, match="has both model.safetensors and"):
            load(sharded)

    def test_index_that_names_another_file(self, sharded: Path) -> None:
        self.edit_index(sharded, model__norm__weight=sorted(sharded.glob("*.safetensors"))[0].name)
        with pytest.raises(UserError, match=r"model\.norm\.weight, which .* puts into model-00001"):
            load(sharded)

    def test_index_with_a_tensor_that_is_nowhere(self, sharded: Path) -> None:
        self.edit_index(sharded, made__up=sorted(sharded.glob("*.safetensors"))[0].name)
        with pytest.raises(UserError, match=r"has no tensor made\.up, which"):
            load(sharded)

    @pytest.mark.parametrize("text", ["", "[]", '{"metadata": {}}'])
    def test_index_that_is_none(self, text: str, sharded: Path) -> None:
        (sharded / INDEX).write_text(text)
        with pytest.raises(UserError, match="is not an index"):
            load(sharded)

    def test_a_tensor_twice(self, weights: dict[str, Path], tmp_path: Path) -> None:
        shutil.copytree(weights["qwen2.5-tiny"], tmp_path, dirs_exist_ok=True)
        shutil.copy(tmp_path / "model.safetensors", tmp_path / "old.safetensors")
        with pytest.raises(UserError, match="in two files"):
            load(tmp_path)

    def test_nothing_was_loaded(self, weights: dict[str, Path], tmp_path: Path) -> None:
        made = load(weights["qwen2.5-tiny"])
        before = [p.detach().clone() for p in made.network.parameters()]
        changed(weights["qwen2.5-tiny"], tmp_path, model__norm__weight=None, lm_head__weight=torch.zeros(ROWS, 64))
        with pytest.raises(UserError):
            hf.load(made.networks, tmp_path, made.shape)
        assert all(torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
