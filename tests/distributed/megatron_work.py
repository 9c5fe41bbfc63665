"""What the ranks of a test of Megatron exports do."""

from pathlib import Path
from typing import Any

import torch
import yaml
from weights_work import enter

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.model import gpt
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.training import checkpoint, export

from megatron.core import dist_checkpointing  # isort: skip
from megatron.core.models.gpt import GPTModel  # isort: skip
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec  # isort: skip
from megatron.core.transformer import TransformerConfig  # isort: skip

OF_THE_NETWORK = ("share_embeddings_and_output_weights", "position_embedding_type", "rotary_base", "vocab_size")
"""Fields of Megatron-Bridge's GPTModelProvider that its `provide` hands to GPTModel."""
OF_THE_PROVIDER = ("_target_", "seq_length", "make_vocab_size_divisible_by", "activation_func", "params_dtype")
OF_THE_LAYOUT = ("tensor_model_parallel_size", "pipeline_model_parallel_size")


def write(cfg: RunConfig, run_dir: Path, out: Path) -> None:
    enter(cfg)
    export.write(cfg, run_dir, 2, out, form=export.MEGATRON)


def load(cfg: RunConfig, run_dir: Path, iteration: Path) -> list[int]:
    """Make a plain GPTModel from nothing but run_config.yaml, load it under this layout, and compare with the run.

    Returns:
        How many parameters of each rank are the run's, bit for bit; negative where not all are.
    """
    enter(cfg)
    network = _plain(yaml.safe_load((iteration / "run_config.yaml").read_text())["model"])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(torch.nan)
    metadata = dist_checkpointing.load_content_metadata(str(iteration))
    state = {"model": network.sharded_state_dict(metadata=metadata)}
    network.load_state_dict(dist_checkpointing.load(state, str(iteration))["model"])

    ours = gpt.build(ARCHS[cfg.model.arch], cfg.model, cfg.parallel)
    checkpoint.load_weights(export.Policy(ours), run_dir, 2)  # type: ignore[arg-type]
    expected = dict(ours[0].named_parameters())
    found = dict(network.named_parameters())
    same = found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    return everyone(len(found) if same else -len(found))


def _plain(model: dict[str, Any]) -> GPTModel:
    """The network that Megatron-Bridge's provider of these fields makes, with megatron-core's layers without TE."""
    layout = groups.current()
    given = {name: value for name, value in model.items() if name not in OF_THE_NETWORK + OF_THE_PROVIDER}
    dtype = torch.bfloat16 if model["bf16"] else torch.float32
    config = TransformerConfig(
        **(given | dict(zip(OF_THE_LAYOUT, (layout.tp, layout.pp), strict=True))),
        activation_func=torch.nn.functional.silu,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        use_cpu_initialization=True,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
    )
    spec = get_gpt_layer_local_spec(qk_layernorm=model["qk_layernorm"], normalization=model["normalization"])
    return GPTModel(
        config=config,
        transformer_layer_spec=spec,
        max_sequence_length=model["seq_length"],
        pre_process=layout.first_stage,
        post_process=layout.last_stage,
        **{name: model[name] for name in OF_THE_NETWORK},
    )
