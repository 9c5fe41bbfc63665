"""Starts the vLLM servers of one node for a trainer on other nodes, and keeps them until SIGTERM.

    srun --nodes=1 ... python -m fleming_nemo.rollout.vllm.serve RUN/servers --nodes 2

RUN/servers is on a file system that all nodes share (`servers_file` tells what is in it). The trainer finds the servers
by FLEMING_ROLLOUT_SERVERS=RUN/servers/servers.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import time
from pathlib import Path

import psutil

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.rollout.vllm import servers_file
from fleming_nemo.rollout.vllm.address import make_key
from fleming_nemo.rollout.vllm.pool import Pool
from fleming_nemo.rollout.vllm.settings import ServerSettings

_LOOK_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m fleming_nemo.rollout.vllm.serve",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="shared by all nodes of the job; RUN/servers")
    parser.add_argument("--nodes", type=int, default=1, help="how many nodes run this command (default 1)")
    parser.add_argument(
        "--servers", type=int, default=0, help="servers on this node (default: as its GPUs allow, or 1)"
    )
    where = "listen there only (default: this node's address on the interface\nthat GLOO_SOCKET_IFNAME names, else "
    parser.add_argument("--address", default="", help=where + "that of its host name)")
    parser.add_argument(
        "--wait", type=float, default=3600.0, metavar="S", help="for the trainer's settings (default 3600)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        asyncio.run(_serve(args))


async def _serve(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # Slurm's warnings are for the trainer, which decides when all ends
    settings = await _settings(args.folder / servers_file.SETTINGS, args.wait, stop)
    if settings is None:
        return
    with contextlib.suppress(FileExistsError):
        make_key(args.folder / servers_file.KEY)
    host = args.address or own_address()
    gpus = _gpus()
    count = args.servers or max(1, len(gpus) // settings.tp)
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    print(f"{count} vLLM servers of tensor-parallel size {settings.tp} on {node} ({host})", flush=True)
    pool = Pool.start(settings, count, args.folder / f"logs_{node}", gpus, host, args.folder / servers_file.KEY)
    async with pool:
        servers_file.write_node(args.folder, node, pool.servers)
        await _keep(args, node, pool, stop)


async def _keep(args: argparse.Namespace, node: str, pool: Pool, stop: asyncio.Event) -> None:
    """Until told to stop: list the nodes once all are there, restart what dies."""
    listed = False
    while not stop.is_set():
        listed = listed or servers_file.complete(args.folder, args.nodes)
        if any(not server.alive for server in pool.servers):
            revived = asyncio.create_task(pool.revive())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([revived, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in (revived, stopped):
                task.cancel()
            servers_file.write_node(args.folder, node, pool.servers)
        for event in pool.events:
            print(" ".join(f"{name}={value}" for name, value in event.items()), flush=True)
        pool.events.clear()
        if all(map(pool.given_up, pool.servers)):
            raise UserError(f"no vLLM server is left on this node ({pool.epitaph()}).")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)


async def _settings(path: Path, wait_s: float, stop: asyncio.Event) -> ServerSettings | None:
    """What the trainer wrote; None when told to stop before."""
    deadline = time.monotonic() + wait_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise UserError(f"{path} did not appear in {wait_s:g} s; the trainer writes it, look at its log.")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
        if stop.is_set():
            return None
    return ServerSettings.load(path)


def own_address() -> str:
    """An address of this node that other nodes reach and the internet, if possible, does not.

    Raises:
        UserError: the host's name leads to the loopback, or to an address that anybody can reach.
    """
    interface = os.environ.get("GLOO_SOCKET_IFNAME", "").split(",")[0]
    found = psutil.net_if_addrs().get(interface, [])
    addresses = [entry.address for entry in found if entry.family == socket.AF_INET]
    if interface and not addresses:
        raise UserError(f"GLOO_SOCKET_IFNAME={interface} has no IPv4 address here; name another interface.")
    try:
        address = addresses[0] if addresses else socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise UserError(f"this node's name has no address ({error}); give --address.") from error
    if ipaddress.ip_address(address).is_loopback:
        raise UserError("this node's name leads to itself alone; give --address, or GLOO_SOCKET_IFNAME an interface.")
    if ipaddress.ip_address(address).is_global:
        raise UserError(
            f"{address} is an address of the internet; give --address one of the cluster's private network."
        )
    return address


def _gpus() -> list[str]:
    """Devices of this node as CUDA_VISIBLE_DEVICES names them; none where there is no NVIDIA driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device for device in named.split(",") if device]
    return [str(index) for index in range(len(list(Path("/proc/driver/nvidia/gpus").glob("*"))))]


if __name__ == "__main__":
    main()
