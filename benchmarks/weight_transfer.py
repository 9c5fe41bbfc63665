"""Bytes per second of a weight transfer on CPU, as a share of a plain gloo broadcast of the same bytes in the same run.

The tensors of Qwen2.5-7B in bf16, every width divided by `--shrink`, cut over two trainer processes; a receiving
process runs the worker extension's own loop, up to the tensors that vLLM's loaders would copy from.  A transfer is
timed from the first control request to the last answer: gathering, packing, checksums on both sides, broadcast,
unpacking.  The plain broadcast sends flat buffers of the same sizes through the same group and does nothing with them.
Rounds alternate, so that a busy machine slows both.  Where the seconds went is printed for each process.

By `ipc`, the way of servers that a run starts beside its trainer, the engine reads the trainer's buffers in memory that
both share; by `gloo`, the way of servers elsewhere, they go through sockets.  The peer of both is the gloo broadcast.

With `--lr`, then, what sending only changes is worth: fp32 master weights of standard deviation 0.02 move by an Adam
step of that size (in size between nothing and the learning rate, as moments are old or new), and are rounded to bf16.

    python benchmarks/weight_transfer.py --layout tp2
    python benchmarks/weight_transfer.py --layout pp2 --backend gloo
    python benchmarks/weight_transfer.py --lr 1e-6
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import threading
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import weight_transfer_stages

from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import ModelConfig, ParallelConfig
from fleming_nemo.rollout.vllm.address import Address
from fleming_nemo.rollout.vllm.server import Server

LAYOUTS = {"tp2": {"tp": 2}, "pp2": {"pp": 2}}
WAYS = ("ipc", "gloo")
MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What all processes need to know."""

    layout: str
    backend: str
    shape: ArchShape
    bucket_bytes: int
    rounds: int
    port: int
    lr: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=LAYOUTS, default="tp2", help="of the trainer (default: %(default)s)")
    parser.add_argument("--backend", nargs="+", choices=WAYS, default=WAYS, help="(default: one after the other)")
    parser.add_argument("--shrink", type=int, default=4, help="divides every width (default: %(default)s)")
    parser.add_argument("--bucket-mib", type=int, default=32, help="largest bucket (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="of each, alternating (default: %(default)s)")
    parser.add_argument("--port", type=int, default=29517, help="of the trainer's group (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.0, help="measure changes at this learning rate, too")
    args = parser.parse_args()
    shape = shrunk(ARCHS["qwen2.5-7b"], args.shrink)
    for number, backend in enumerate(args.backend):
        port = args.port + number
        settings = Settings(args.layout, backend, shape, args.bucket_mib * MIB, args.rounds, port, args.lr)
        print_results(settings, measure(settings))


def measure(settings: Settings) -> dict[str, Any]:
    """What rank 0 of the trainer has found."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    results = context.SimpleQueue()
    engine = context.Process(target=receiver, args=(theirs,), daemon=True)
    ranks = [
        context.Process(target=trainer, args=(rank, settings, ours if rank == 0 else None, results), daemon=True)
        for rank in range(2)
    ]
    for process in (engine, *ranks):
        process.start()
    ours.close()  # the engine ends when rank 0, which has the only other copy, does
    theirs.close()
    for process in ranks:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a trainer process ended with code {process.exitcode}")
    return results.get()


def shrunk(shape: ArchShape, by: int) -> ArchShape:
    """The same tensors, narrower: heads and layers stay, so names and their number do."""
    return replace(
        shape,
        hidden_size=shape.hidden_size // by,
        ffn_hidden_size=shape.ffn_hidden_size // by,
        head_dim=shape.head_dim // by,
        vocab_size=shape.vocab_size // by,
    )


def print_results(settings: Settings, found: dict[str, Any]) -> None:
    gigabytes = found["bytes"] / 1e9
    ratios = [plain / push for plain, push in zip(found["plain"], found["push"], strict=True)]
    push, plain = statistics.median(found["push"]), statistics.median(found["plain"])
    name = f"{settings.layout} {settings.backend}"
    print(f"{name}: {found['tensors']} tensors, {gigabytes:.2f} GB in {found['buckets']} buckets", end=", ")
    print(f"{found['requests']} control requests a step")
    print(f"  transfer {gigabytes / push:.2f} GB/s, plain gloo broadcast {gigabytes / plain:.2f} GB/s", end="   ")
    print(json.dumps({"share": round(statistics.median(ratios), 2)}), f"({', '.join(f'{r:.2f}' for r in ratios)})")
    peaks = ", ".join(f"rank {rank} {peak / MIB:.0f} MiB" for rank, peak in enumerate(found["peaks"]))
    if found["changes"]:
        share, seconds = (statistics.median(column) for column in zip(*found["changes"], strict=True))
        print(
            f"  changes at learning rate {settings.lr:g}: {share:.1%} of the bytes, {seconds:.2f} s with finding them"
        )
    print_stages(found["spent"])
    print(f"  most memory beyond the weights: {peaks}; the model is {found['bytes'] / MIB:.0f} MiB")


def print_stages(spent: list[list[dict[str, float]]]) -> None:
    """Medians over the rounds, in milliseconds."""
    names = ("transfer, rank 0", "transfer, rank 1", "transfer, engine", "plain, rank 0", "plain, engine")
    for place, name in enumerate(names):
        rounds = [row[place] for row in spent]
        columns = {stage: statistics.median(row.get(stage, 0.0) for row in rounds) for stage in rounds[0]}
        print(f"  {name}: " + ", ".join(f"{stage} {1e3 * seconds:.0f} ms" for stage, seconds in columns.items()))


def trainer(rank: int, settings: Settings, pipe: Connection | None, results: Any) -> None:
    """Build this rank's shards and push them, in turns with the plain broadcast."""
    here = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(settings.port)}
    os.environ |= here
    torch.set_num_threads(1)
    from fleming_nemo.parallel import groups
    from fleming_nemo.parallel.agreement import everyone

    parallel = ParallelConfig(**LAYOUTS[settings.layout])  # type: ignore[arg-type]
    groups.init(parallel, seed=1)
    from fleming_nemo.model import gpt
    from fleming_nemo.rollout.transfer.push import Transfer

    networks = gpt.build(settings.shape, ModelConfig(arch="qwen2.5-7b", precision="bf16"), parallel)
    policy: Any = SimpleNamespace(networks=networks, shape=settings.shape)
    server = Server("receiver", Address("http://127.0.0.1:1"))
    pool: Any = PipePool(pipe) if pipe is not None else None
    before = memory("VmRSS")
    transfer = Transfer(policy, settings.backend, settings.bucket_bytes)
    push: list[float] = []
    plain: list[float] = []
    requests = 0
    stages = weight_transfer_stages.of_trainer()
    spent: list[list[dict[str, float]]] = []
    for number in range(settings.rounds + 1):
        stages.start()
        report = transfer.push([server] if rank == 0 else None, number, pool)
        assert report.updated == ["receiver"], report
        requests = report.requests_per_server
        push.append(report.seconds)
        ranks = everyone(stages.take())
        if rank == 0:
            theirs = pool.ask("stages")
            cpu = weight_transfer_stages.cpu_seconds()
            plain.append(plain_broadcast(transfer, pool))
            sender = {"CPU": weight_transfer_stages.cpu_seconds() - cpu}
            spent.append([*ranks, theirs, sender, pool.ask("stages")])
        everyone(None)
    peaks = everyone(memory("VmHWM") - before)
    changes = push_changes(policy, settings, server, pool) if settings.lr else []
    if rank == 0:
        plan = transfer.shards.plan
        found = {"push": push[1:], "plain": plain[1:], "bytes": plan.nbytes, "requests": requests, "peaks": peaks}
        found["spent"] = spent[1:]
        results.put(found | {"changes": changes, "tensors": len(plan.entries), "buckets": len(plan.buckets)})
    transfer.close()
    groups.shutdown()


def push_changes(policy: Any, settings: Settings, server: Server, pool: Any) -> list[tuple[float, float]]:
    """(share of the bytes, seconds) of a few pushes of changes alone, after a whole one."""
    from fleming_nemo.rollout.transfer.push import Transfer

    generator = torch.Generator().manual_seed(torch.distributed.get_rank())
    parameters = [p for network in policy.networks for p in network.parameters() if p.dim() > 1]
    masters = [0.02 * torch.randn(p.shape, generator=generator) for p in parameters]
    transfer = Transfer(policy, settings.backend, settings.bucket_bytes, changes=True)
    found = []
    for number in range(5):
        with torch.no_grad():
            for parameter, master in zip(parameters, masters, strict=True):
                master += settings.lr * (2 * torch.rand(master.shape, generator=generator) - 1)
                parameter.copy_(master)
        report = transfer.push([server] if pool is not None else None, number, pool)
        assert report.changes == (number > 0), report
        found.append((report.bytes / transfer.shards.plan.nbytes, report.seconds))
    transfer.close()
    return found[1:]


def plain_broadcast(transfer: Any, pool: PipePool) -> float:
    """Seconds for flat buffers of the same sizes, through the same group."""
    sizes = [transfer.shards.plan.size(number) for number in range(len(transfer.shards.plan.buckets))]
    buffers = [torch.ones(max(sizes), dtype=torch.uint8) for _ in range(2)]
    channel = transfer._leader.session.channel
    waiting = asyncio.run_coroutine_threadsafe(pool.control(None, "plain", json=sizes), pool.loop)
    channel.agree(True)
    begun = time.monotonic()
    for number, size in enumerate(sizes):
        channel._group.broadcast(buffers[number % 2][:size], 0).wait()
    channel.agree(True)
    seconds = time.monotonic() - begun
    waiting.result()
    return seconds


def receiver(pipe: Connection) -> None:
    """The worker extension's receiving code, without an engine."""
    torch.set_num_threads(1)
    from fleming_nemo.rollout.vllm.worker.fleming_transfer.channel import Meeting
    from fleming_nemo.rollout.vllm.worker.fleming_transfer.receiver import Receiver

    end = Receiver(torch.device("cpu"))
    stages = weight_transfer_stages.of_receiver()
    nothing = SimpleNamespace(
        start=lambda: None,
        transfer=lambda update: end.receive(lambda tensors: None),
        finish=lambda: None,
        undo=lambda: None,
    )
    while True:
        try:
            path, body = pipe.recv()
        except EOFError:
            return
        answer: Any = {}
        if path == "stages":
            answer = stages.take()
        elif path == "/init_weight_transfer_engine":
            end.join(Meeting(**body["init_info"]["meeting"]), body["init_info"]["rank_offset"])
        elif path == "/collective_rpc":
            stages.start()
            answer = {"results": [end.take(body["kwargs"]["update"], nothing)]}
        elif path == "plain":
            stages.start()
            channel: Any = end._channel
            buffers = [torch.ones(max(body), dtype=torch.uint8) for _ in range(2)]
            channel.agree(True)
            for number, size in enumerate(body):
                channel._group.broadcast(buffers[number % 2][:size], 0).wait()
            channel.agree(True)
        pipe.send(answer)


class PipePool:
    """Control requests to the one receiver."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def control(
        self, server: Any, path: str, json: Any = None, params: Any = None, timeout_s: float = 0
    ) -> dict[str, Any]:
        return await asyncio.to_thread(self.ask, path, json)

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        self._pipe.send((path, body))
        answer: dict[str, Any] = self._pipe.recv()
        return answer


def memory(name: str) -> int:
    """Bytes of this process, by a name of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


if __name__ == "__main__":
    main()
