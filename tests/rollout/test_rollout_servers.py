"""What is refused before a server is started, and what a server is started with."""

import json
from pathlib import Path

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout import servers
from fleming_nemo.training.engine import Engine

CPU = ["rollout.engine=vllm", "model.arch=qwen3-tiny", "model.precision=fp32", "train.seq_length=256"]


def config(*overrides: str) -> RunConfig:
    return apply(RunConfig(), [*CPU, *overrides])


@pytest.mark.parametrize(
    ("overrides", "given", "sentence"),
    [
        (["rollout.engine=vllm-fp8"], False, "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8"),
        (["rollout.engine=vllm-fp8"], True, "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8"),
        (["model.arch=qwen2.5-tiny"], False, "rollout.engine is vllm, but vLLM on a CPU computes no heads of 16"),
    ],
)
def test_what_this_machine_cannot_do_is_one_sentence(overrides: list[str], given: bool, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        servers.check(config(*overrides), given)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_servers_on_other_machines_may_compute_other_heads() -> None:
    servers.check(config(), given=False)
    servers.check(config("model.arch=qwen2.5-tiny"), given=True)


def test_settings_follow_the_run_and_the_model_folder_has_no_weights(
    one_process: None, chat: ChatTokenizer, tmp_path: Path
) -> None:
    cfg = config(f"run_dir={tmp_path}", "rollout.tp=2", "rollout.decode_batch=7", "seed=5")
    engine = Engine(cfg, servers.ARCHS[cfg.model.arch])
    made = servers.settings(cfg, engine, chat, colocated=False)
    assert (made.tp, made.max_sequences, made.max_length, made.num_tokens) == (2, 7, 256, chat.size)
    assert (made.dtype, made.seed, made.fp8, made.sleeps) == ("float32", 5, False, False)
    assert json.loads((made.model / "config.json").read_text())["head_dim"] == 32
    assert not list(made.model.glob("*.safetensors")), "nothing is ever served that the trainer did not send"
