"""Servers on other nodes: two processes of `serve` that share a folder with a trainer, on this node."""

import argparse
import asyncio
import os
import signal
from collections import Counter

import fake_vllm
import psutil
import pytest
from fake_lab import SETTINGS, Lab, requests

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.vllm import given, serve, servers_file
from fleming_nemo.rollout.vllm.engine import ServersGone
from fleming_nemo.rollout.vllm.pool import Pool

MOST = 12


class Nodes:
    """Tasks of this process that stand for `serve` on nodes a and b."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = lab.folder / "servers"
        self.list = self.folder / servers_file.SERVERS
        self._monkeypatch = monkeypatch
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str) -> None:
        self._monkeypatch.setenv("SLURMD_NODENAME", name)
        words = {"folder": self.folder, "nodes": 2, "servers": 1, "address": "127.0.0.1", "wait": 60.0}
        self.tasks[name] = asyncio.create_task(serve._serve(argparse.Namespace(**words)))
        file = servers_file.node_file(self.folder, name)
        before = file.read_text() if file.exists() else ""
        while not file.exists() or file.read_text() == before:
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for name, task in self.tasks.items():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or not task.exception(), name


@pytest.fixture
def nodes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setattr(serve, "_LOOK_S", 0.05)
    monkeypatch.setattr(given, "_LOOK_S", 0.05)
    made = Nodes(lab, monkeypatch)
    SETTINGS.save(made.folder / servers_file.SETTINGS)
    return made


def check(asked, rollouts):
    for request, rollout in zip(asked, rollouts, strict=True):
        assert rollout.tokens == fake_vllm.response(list(request.prompt), request.seed, MOST)[0]


def kill_one_of(port: int) -> None:
    for process in psutil.Process().children(recursive=True):
        if str(port) in process.cmdline() and "keeper.py" not in " ".join(process.cmdline()):
            process.kill()


def test_a_trainer_finds_them_and_goes_on_when_one_is_restarted(lab: Lab, nodes: Nodes):
    async def run():
        attached = Pool.attach(nodes.list)
        trainer = asyncio.create_task(attached.__aenter__())  # before any of them is there
        await nodes.start("a")
        assert not nodes.list.exists()  # a half list would be a smaller run
        await nodes.start("b")
        pool = await asyncio.wait_for(trainer, 60)
        assert len(pool.servers) == 2 and (nodes.folder / "key").stat().st_mode & 0o077 == 0
        push = lab.push(pool)
        await push(pool.servers)
        engine = lab.engine(pool, push=push, patience_s=5.0)
        lab.fail(seconds=0.2)
        asked = requests(8, 4)
        heard = []

        def finished(index, rollout):
            heard.append(index)
            if len(heard) == 4:
                kill_one_of(int(pool.servers[0].address.url.rpartition(":")[2]))

        check(asked, await engine.generate(asked, 1.0, MOST, 3, finished))
        assert Counter(heard) == Counter(range(len(asked)))
        while pool.servers[0].version != 3:
            await engine.generate(asked[:1], 1.0, MOST, 3)
            await asyncio.sleep(0.05)
        seen = Counter(event["event"] for event in pool.events)
        assert seen["server_lost"] == seen["server_restarted"] == 1, "\n".join(
            str(e) for e in pool.events if "request" not in e["event"]
        )
        await engine.close()
        await pool.__aexit__()
        await nodes.stop()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_a_node_that_never_comes_back(lab: Lab, nodes: Nodes, monkeypatch: pytest.MonkeyPatch):
    """The others go on without it; when none is left the run ends and says so."""
    monkeypatch.setattr(given, "BACK_S", 0.2)

    async def run():
        await nodes.start("a")
        await nodes.start("b")
        async with Pool.attach(nodes.list) as pool:
            push = lab.push(pool)
            await push(pool.servers)
            engine = lab.engine(pool, push=push)
            lab.fail(seconds=0.3)
            for name in "ab":
                task = nodes.tasks[name]
                task.cancel()  # the node is gone, with all that was on it
                await asyncio.gather(task, return_exceptions=True)
                if name == "a":
                    check(asked := requests(4, 2), await engine.generate(asked, 1.0, MOST, 3))
            with pytest.raises(ServersGone, match="did not come back"):
                await engine.generate(requests(1, 1), 1.0, MOST, 3)
            await engine.close()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_sigterm_ends_it_and_its_servers(lab: Lab, nodes: Nodes):
    async def run():
        await nodes.start("a")
        (task,) = nodes.tasks.values()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 30)

    asyncio.run(run())
    left = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    assert not [p for p in left if "fake_vllm" in " ".join(p.cmdline())]


def test_waiting_for_settings_has_an_end(lab: Lab, nodes: Nodes):
    (nodes.folder / servers_file.SETTINGS).unlink()
    words = argparse.Namespace(folder=nodes.folder, nodes=1, servers=1, address="127.0.0.1", wait=0.2)
    with pytest.raises(UserError, match="the trainer writes it"):
        asyncio.run(serve._serve(words))


def test_a_key_that_the_servers_refuse(lab: Lab, nodes: Nodes):
    async def run():
        await nodes.start("a")
        await nodes.start("b")
        key = nodes.folder / "key"
        await asyncio.sleep(0.5)
        key.write_text("x" * 43)
        with pytest.raises(UserError, match="refuses the key"):
            async with Pool.attach(nodes.list):
                pass
        await nodes.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
