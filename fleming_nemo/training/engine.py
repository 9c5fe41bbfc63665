"""Model, gradients and optimizer of one rank, and the one training step that SFT and GRPO share.

The step is megatron-core's own forward-backward schedule over DistributedDataParallel and DistributedOptimizer.  An
objective sees what the last pipeline stage predicts and returns a sum and what to divide it by; megatron-core divides
the gradient by the count of the whole global batch, so neither the loss nor its gradient depends on the layout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.model import gpt, head
from fleming_nemo.parallel import groups
from fleming_nemo.training import watchdog
from fleming_nemo.training.guards import GradientGuard
from fleming_nemo.training.logprobs import Prediction

from megatron.core import parallel_state  # isort: skip
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads  # isort: skip
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer  # isort: skip
from megatron.core.pipeline_parallel import get_forward_backward_func  # isort: skip


@dataclass
class LossSum:
    """An objective's contribution of one micro-batch.

    Attributes:
        total: scalar with gradient, a sum (not a mean) over this rank's tokens.
        count: what the global sum is divided by, an integer (trained tokens in SFT, sequences in GRPO).
        sums: other quantities to average over the batch, as (sum, count) pairs.
        maxima: quantities of which the largest of the batch is reported; not negative.
    """

    total: Tensor
    count: int
    sums: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    maxima: dict[str, Tensor] = field(default_factory=dict)


Objective = Callable[[Prediction, MicroBatch], LossSum]


class Engine:
    """This rank's part of the policy and its optimizer."""

    def __init__(self, cfg: RunConfig, shape: ArchShape) -> None:
        self.cfg = cfg
        self.shape = shape
        self.layout = groups.current()
        chunks = gpt.build(shape, cfg.model, cfg.parallel)
        chunks[0].config.finalize_model_grads_func = finalize_model_grads  # one config for all chunks
        overlap = cfg.parallel.overlap
        ddp = DistributedDataParallelConfig(
            grad_reduce_in_fp32=True,
            use_distributed_optimizer=True,
            overlap_grad_reduce=overlap,
            overlap_param_gather=overlap,
        )
        self.model = [
            # later chunks are reduced beside the computation of earlier ones: one bucket each will do
            DistributedDataParallel(config=c.config, ddp_config=ddp, module=c, disable_bucketing=n > 0)
            for n, c in enumerate(chunks)
        ]
        if overlap:
            no_sync = [chunk.no_sync for chunk in self.model]
            chunks[0].config.no_sync_func = no_sync if len(no_sync) > 1 else no_sync[0]
        self._gather_pending = False
        optim = cfg.optim
        bf16 = cfg.model.precision != "fp32"
        self.optimizer = get_megatron_optimizer(
            OptimizerConfig(
                optimizer="adam",
                lr=optim.lr,
                weight_decay=optim.weight_decay,
                adam_beta1=optim.betas[0],
                adam_beta2=optim.betas[1],
                clip_grad=optim.clip_grad,
                bf16=bf16,
                params_dtype=torch.bfloat16 if bf16 else torch.float32,
                use_distributed_optimizer=True,
            ),
            self.model,
        )
        self.guard = GradientGuard(optim.skip_spikes)
        self._forward_backward = get_forward_backward_func()

    @property
    def networks(self) -> list[Any]:
        """The GPTModels of this rank, one for each model chunk, with their weights complete.

        Under `parallel.overlap` the parameters updated by other data-parallel ranks arrive during the next forward
        pass; whoever looks at the weights before that has to wait for them, all ranks together.
        """
        if self._gather_pending:
            for chunk in self.model:
                chunk.start_param_sync(force_sync=True)
            self._gather_pending = False
        return [chunk.module for chunk in self.model]

    @property
    def network(self) -> Any:
        """The one GPTModel of this rank; generation needs a model that is not cut into chunks."""
        (network,) = self.networks
        return network

    def weights_changed(self) -> None:
        """Tell the optimizer that the weights were filled from outside, so that its fp32 copies follow."""
        self.optimizer.reload_model_params()

    def train_step(self, batches: list[MicroBatch], objective: Objective, lr: float) -> dict[str, float]:
        """One optimizer step on this rank's micro-batches (every rank has the same number of them).

        Returns:
            `loss`, `grad_norm` and each of the objective's sums divided by its count, all over the global batch and
            equal on all ranks; `skipped` is 1 where the gradient was not good enough to be applied, else 0.

        Raises:
            UserError: too many updates in a row had to be skipped.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            # megatron-core marks norms and biases with wd_mult 0 and leaves it to the caller to apply that
            group["weight_decay"] = self.cfg.optim.weight_decay * group["wd_mult"]
        for chunk in self.model:
            chunk.train()
            chunk.zero_grad_buffer()
        self.optimizer.zero_grad()
        metrics = self._reduce(self._run(batches, objective, forward_only=False))
        self.optimizer.prepare_grads()  # the norm is taken of what it copies
        grad_norm = float(self.optimizer.get_grad_norm())
        verdict = self.guard.judge(grad_norm, metrics["loss"])
        if verdict.skip:
            self.optimizer.zero_grad()
            if groups.rank() == 0:
                print(verdict.report, file=sys.stderr, flush=True)
        else:
            self.optimizer.step()
            self._gather_pending = self.cfg.parallel.overlap
        return metrics | {"grad_norm": grad_norm, "skipped": int(verdict.skip)}

    @torch.no_grad()
    def evaluate(self, batches: list[MicroBatch], objective: Objective) -> dict[str, float]:
        """The same numbers without gradient and update."""
        for chunk in self.model:
            chunk.eval()
        return self._reduce(self._run(batches, objective, forward_only=True))

    def _run(self, batches: list[MicroBatch], objective: Objective, forward_only: bool) -> list[dict[str, Tensor]]:
        rows, local_length = batches[0].tokens_BT.shape
        iterators = [iter(batches) for _ in self.model]
        with head.held_back([chunk.module for chunk in self.model]) as last:
            return self._forward_backward(
                forward_step_func=partial(_forward_step, objective, last),
                data_iterator=iterators if len(iterators) > 1 else iterators[0],
                model=self.model,
                num_microbatches=len(batches),
                seq_length=local_length * self.layout.cp,
                micro_batch_size=rows,
                forward_only=forward_only,
            )

    def _reduce(self, parts: list[dict[str, Tensor]]) -> dict[str, float]:
        """Combine what the micro-batches of all data- and context-parallel ranks reported; tell every stage."""
        group = parallel_state.get_data_parallel_group(with_context_parallel=True)
        result: list[Any] = [None]
        if self.layout.last_stage:
            result[0] = {}
            for name in parts[0]:
                column = torch.stack([part[name] for part in parts])
                if column.dim() == 1:
                    largest = column.max()
                    torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX, group=group)
                    result[0][name] = float(largest)
                else:
                    pair = column.sum(0)
                    torch.distributed.all_reduce(pair, group=group)
                    total, count = pair.tolist()
                    result[0][name] = total / count if count else 0.0
        if self.layout.pp > 1:
            last = parallel_state.get_pipeline_model_parallel_last_rank()
            pipeline = parallel_state.get_pipeline_model_parallel_group()
            torch.distributed.broadcast_object_list(result, last, group=pipeline)
        return result[0]


def _forward_step(
    objective: Objective, last: head.Head | None, data: Iterator[MicroBatch], model: Any
) -> tuple[Tensor, Callable[..., Any]]:
    watchdog.beat()
    batch = next(data)
    output = model(batch.tokens_BT, batch.positions_BT, None, packed_seq_params=batch.packed)

    def loss_function(hidden_BTH: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        assert last is not None  # only the last stage is asked for a loss
        loss = objective(Prediction(hidden_BTH, last.weight_VH, last.sequence_parallel), batch)
        count = torch.tensor(loss.count, dtype=torch.int, device=hidden_BTH.device)
        report = {name: torch.stack([s.double(), n.double()]) for name, (s, n) in loss.sums.items()}
        report |= {name: value.double() for name, value in loss.maxima.items()}
        report["loss"] = torch.stack([loss.total.detach().double(), count.double()])
        return loss.total, count, report

    return output, loss_function
