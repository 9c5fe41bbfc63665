"""Buffers that processes of one node share: CUDA IPC handles on a GPU, a file without a name on a CPU.

What travels is JSON: handles in base64, the path of a file descriptor.  torch's own way of sharing would pickle them.
"""

from __future__ import annotations

import base64
import os
import tempfile
from typing import Any

import torch
from torch import Tensor

_MEMORY = "/dev/shm"


def allocate(nbytes: int) -> tuple[Tensor, int]:
    """Bytes of shared memory and the descriptor of the file behind it, which goes with its last user.

    Raises:
        OSError: there is not that much room in /dev/shm.
    """
    descriptor, path = tempfile.mkstemp(dir=_MEMORY, prefix="fleming-")
    try:
        os.posix_fallocate(descriptor, 0, nbytes)  # a full /dev/shm is an error now and not SIGBUS later
        buffer = torch.from_file(path, shared=True, size=nbytes, dtype=torch.uint8)
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        os.unlink(path)
    return buffer, descriptor


def release(descriptor: int) -> None:
    """Forget the file; the memory goes when nothing maps it any more."""
    os.close(descriptor)


def path_of(descriptor: int) -> str:
    """Where other processes of this user find the file."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def map_file(path: str, nbytes: int) -> Tensor:
    """The same bytes in another process."""
    return torch.from_file(path, shared=True, size=nbytes, dtype=torch.uint8)


def export(buffer: Tensor, descriptor: int | None) -> dict[str, Any]:
    """What another process needs to `open` this buffer, in JSON."""
    if descriptor is not None:
        return {"path": path_of(descriptor), "nbytes": buffer.numel()}
    storage = buffer.untyped_storage()
    # torch.UntypedStorage._share_cuda_: what torch.multiprocessing.reductions.reduce_tensor sends for a CUDA tensor
    device, handle, size, offset, counter, counter_offset, event, synchronise = storage._share_cuda_()
    return {
        "handle": base64.b64encode(handle).decode(),
        "counter": base64.b64encode(counter).decode(),
        "event": base64.b64encode(event).decode(),
        "device_uuid": str(torch.cuda.get_device_properties(device).uuid),
        "size": size,
        "offset": offset,
        "counter_offset": counter_offset,
        "synchronise": synchronise,
        "nbytes": buffer.numel(),
    }


def open_buffer(told: dict[str, Any]) -> Tensor:
    """The other process's buffer. Raises RuntimeError where this process cannot see the GPU that holds it."""
    if "path" in told:
        return map_file(told["path"], told["nbytes"])
    uuids = [str(torch.cuda.get_device_properties(n).uuid) for n in range(torch.cuda.device_count())]
    if told["device_uuid"] not in uuids:
        raise RuntimeError("this server does not see the GPU of the trainer's rank 0; show it all GPUs of the node")
    device = uuids.index(told["device_uuid"])
    storage = torch.UntypedStorage._new_shared_cuda(
        device,
        base64.b64decode(told["handle"]),
        told["size"],
        told["offset"],
        base64.b64decode(told["counter"]),
        told["counter_offset"],
        base64.b64decode(told["event"]),
        told["synchronise"],
    )
    whole = torch.empty(0, dtype=torch.uint8, device=torch.device("cuda", device))
    return whole.set_(storage, 0, (told["nbytes"],), (1,))
