"""The weight-transfer backend `fleming` of vLLM (`vllm.distributed.weight_transfer`, checked against 0.32).

vLLM fuses and cuts the full tensors of the Hugging Face model itself; on any device that has to go through its
layerwise reload, as weights are packed, fused or quantised after loading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

from .channel import Meeting
from .receiver import Receiver

NAME = "fleming"


@dataclass
class Init(WeightTransferInitInfo):
    """Attributes:
    meeting: fields of `channel.Meeting`.
    rank_offset: rank of the server's first worker in the group.
    """

    meeting: dict[str, Any]
    rank_offset: int


@dataclass
class Update(WeightTransferUpdateInfo):
    """What `wire.Plan.announce` says, and the versions; `Receiver.take` has seen it before."""

    info: dict[str, Any]


class Engine(WeightTransferEngine):
    """Attributes:
    receiver: versions and the group.
    """

    init_info_cls = Init
    update_info_cls = Update
    supports_draft_weight_update = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiver = Receiver(self.device)

    def init_transfer_engine(self, init_info: Init) -> None:
        config = self.parallel_config
        place = config.data_parallel_index * config.world_size + config.rank
        self.receiver.join(Meeting(**init_info.meeting), init_info.rank_offset + place)

    def start_weight_update(self) -> None:
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self.receive_weights(self.parse_update_info(update_info))
        if self.device.type != "cpu":  # where the base class would raise
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: Update) -> None:
        self.receiver.receive(self.model.load_weights)

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)
        head = getattr(self.model, "lm_head", None)
        if self.device.type == "cpu" and head is not None and self.model_config.hf_config.tie_word_embeddings:
            # The reload repacks a tied weight for the embedding alone, and on CPU the output layer multiplies with a
            # packed copy of its own: it would go on predicting with the weights before.
            head.quant_method.process_weights_after_loading(head)

    def shutdown(self) -> None:
        self.receiver.leave()


if NAME not in WeightTransferEngineFactory._registry:
    WeightTransferEngineFactory.register_engine(NAME, Engine)
