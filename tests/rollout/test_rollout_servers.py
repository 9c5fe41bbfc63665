"""What is refused before a server is started, what it is started with, and its turns with the trainer."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout import servers
from fleming_nemo.rollout.vllm.address import Address
from fleming_nemo.rollout.vllm.pool import ServerLost
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.training.engine import Engine

CPU = ["rollout.engine=vllm", "model.arch=qwen3-tiny", "model.precision=fp32", "train.seq_length=256"]


def config(*overrides: str) -> RunConfig:
    return apply(RunConfig(), [*CPU, *overrides])


@pytest.mark.parametrize(
    ("overrides", "given", "sentence"),
    [
        (["rollout.engine=vllm-fp8"], False, "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8"),
        (["rollout.engine=vllm-fp8"], True, "rollout.engine is vllm-fp8, which needs GPUs that compute in fp8"),
        (["model.arch=qwen2.5-tiny"], False, "vLLM on a CPU knows no heads of 16"),
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


class Pool:
    """Two servers, of which the second is gone without anybody having noticed."""

    def __init__(self) -> None:
        self.servers = [
            Server("vllm_0", Address("http://127.0.0.1:1")),
            Server("vllm_1", Address("http://127.0.0.1:2")),
        ]
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.revived = 0

    async def control(self, server: Server, path: str, params: dict[str, str]) -> dict[str, str]:
        if server.name == "vllm_1":
            server.alive, server.version = False, None
            raise ServerLost(server, f"{path}: connection refused")
        self.asked.append((server.name, path, params))
        return {}

    async def revive(self) -> list[Server]:
        self.revived += 1
        for server in self.servers:
            server.alive = True
        return self.servers


@pytest.fixture
def pushed() -> list[list[str]]:
    return []


@pytest.fixture
def colocated(chat: ChatTokenizer, pushed: list[list[str]]) -> servers.Servers:
    made = servers.Servers(config(), chat, Pool(), colocated=True)  # type: ignore[arg-type]

    async def push(named: Sequence[Server]) -> None:
        pushed.append([server.name for server in named])
        for server in named:
            server.version = 3

    made._push = push
    return made


def test_weights_wake_before_the_transfer_and_the_cache_after_it(
    colocated: servers.Servers, pushed: list[list[str]]
) -> None:
    async def a_step() -> list[str]:
        await colocated.rest()
        before = len(colocated.pool.asked)  # type: ignore[attr-defined]
        await colocated.bring_up(3)
        return [params["tags"] for _, _, params in colocated.pool.asked[before:]]  # type: ignore[attr-defined]

    assert asyncio.run(a_step()) == ["weights", "kv_cache"]
    assert colocated.pool.asked[0] == ("vllm_0", "/sleep", {"level": "2"})  # type: ignore[attr-defined]
    assert pushed == [["vllm_0"]], "the other one died over the way to sleep, and is the engine's to restart"


def test_without_any_server_they_are_revived_before_a_transfer(
    colocated: servers.Servers, pushed: list[list[str]]
) -> None:
    for server in colocated.pool.servers:
        server.alive = False
    asyncio.run(colocated.bring_up(3))
    assert colocated.pool.revived == 1 and pushed == [["vllm_0", "vllm_1"]]  # type: ignore[attr-defined]
