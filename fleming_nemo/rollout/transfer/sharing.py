"""Buffers of rank 0 that all ranks with weights write into, where they share a machine and compute on its CPUs."""

from __future__ import annotations

import socket

import torch
from torch import Tensor

from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.vllm.worker.fleming_transfer import shared


def share(holders: list[int], device: torch.device, nbytes: int, depth: int) -> tuple[list[Tensor], list[int]]:
    """`depth` buffers, and on rank 0 the descriptors of the files behind them; none at all where one of the holders
    cannot map them (another node, another container, no room in /dev/shm), and none on ranks that hold nothing.

    Collective over all ranks.
    """
    buffers, descriptors = _allocate(nbytes, depth) if groups.rank() == 0 and device.type == "cpu" else ([], [])
    offered = everyone((socket.gethostname(), [shared.path_of(descriptor) for descriptor in descriptors]))
    host, paths = offered[0]
    mine = groups.rank() in holders
    if mine and groups.rank() and paths and offered[groups.rank()][0] == host:
        try:
            buffers = [shared.map_file(path, nbytes) for path in paths]
        except (OSError, RuntimeError):
            buffers = []
    if all(everyone(not mine or len(buffers) == depth)):
        return buffers, descriptors
    release(descriptors)
    return [], []


def release(descriptors: list[int]) -> None:
    """Give the memory back, as soon as no process maps it any more."""
    for descriptor in descriptors:
        shared.release(descriptor)
    descriptors.clear()


def _allocate(nbytes: int, depth: int) -> tuple[list[Tensor], list[int]]:
    buffers: list[Tensor] = []
    descriptors: list[int] = []
    try:
        for _ in range(depth):
            buffer, descriptor = shared.allocate(nbytes)
            buffers.append(buffer)
            descriptors.append(descriptor)
    except OSError:  # /dev/shm is smaller
        release(descriptors)
        return [], []
    return buffers, descriptors
