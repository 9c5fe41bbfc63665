"""What vLLM's workers can do in addition: a whole update of weights in one call (`--worker-extension-cls`).

vLLM's own routes need a request each to start, to transfer and to finish.  They end in the three methods of the worker
that are called here, one after the other, so that the trainer asks once and learns what each worker holds.
"""

from __future__ import annotations

from typing import Any

from .backend import Engine  # registers the backend, before vLLM creates one


class Worker:
    """Mixed into vLLM's worker; its methods are called through /collective_rpc."""

    weight_transfer_engine: Any

    def fleming_update(self, update: dict[str, Any]) -> dict[str, Any]:
        """Take the weights that the trainer is about to send; the answer is `Receiver.take`'s."""
        engine: Engine = self.weight_transfer_engine
        return engine.receiver.take(update, _Session(self, engine))

    def fleming_held(self) -> dict[str, Any]:
        """The version in the model; the answer is `Receiver.report`'s."""
        engine: Engine = self.weight_transfer_engine
        return engine.receiver.report()


class _Session:
    """One update of vLLM's (`Worker.start_weight_update` and those after it in vllm/v1/worker/gpu_worker.py)."""

    def __init__(self, worker: Any, engine: Engine) -> None:
        self._worker, self._engine = worker, engine

    def start(self) -> None:
        self._worker.start_weight_update()

    def transfer(self, update: dict[str, Any]) -> None:
        self._worker.update_weights({"info": update})

    def finish(self) -> None:
        self._worker.finish_weight_update()

    def undo(self) -> None:
        self._worker._weight_update_active = False
        self._engine.finish_weight_update()  # takes layers that wait for more weights out of that state
