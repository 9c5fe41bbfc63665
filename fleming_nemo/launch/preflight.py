"""What can be checked and prepared before the first process is started."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import CPU_SIZED
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import lock, machine
from fleming_nemo.launch.stages import chain
from fleming_nemo.launch.worker import quiet_on_cpu
from fleming_nemo.parallel import extensions, precision
from fleming_nemo.planner import hardware, plan

MANIFEST = "manifest.json"
"""Written last into a data directory: without it the directory was never finished."""


def check_precision(cfg: RunConfig, on_gpus: bool) -> None:
    """Raise a UserError for libraries that megatron-core trips over, and for fp8 that cannot run; without torch.

    What depends on the GPU itself is asked by the processes that have one.
    """
    extensions.check_extensions()
    if not on_gpus:
        precision.check_precision(cfg.model, precision.Device())
    precision.check_config(cfg)


def data_is_built(cfg: RunConfig) -> bool:
    """Whether the data directory is there and was finished."""
    return (Path(cfg.data.dir) / MANIFEST).is_file()


def prepare_data(cfg: RunConfig) -> None:
    """Build the data directory if the config says how; without that, only look whether it is there."""
    if cfg.data.synthesis is not None:
        lock.check_writable(Path(cfg.data.dir), "data directory", "data.dir")
        quiet_on_cpu()
        from fleming_nemo.launch.prepare import prepare  # brings torch along

        prepare(cfg.data, cfg.seed)
    elif not data_is_built(cfg):
        raise UserError(
            f"{cfg.data.dir} holds no finished data ({MANIFEST} is missing); build it with the scripts in data_prep/, "
            "or point data.dir at a folder that has it"
        )


def dry_run(cfg: RunConfig | DemoConfig, gpus: int | None = None) -> list[str]:
    """Check all that needs no GPU; returns one line for each thing that was looked at.

    Args:
        gpus: of the whole run; without it, those of this machine.

    Raises:
        UserError: the first thing that would stop the run.
    """
    if isinstance(cfg, DemoConfig):
        lock.check_writable(Path(cfg.run_dir))
        return [line for stage in chain(cfg).values() for line in _dry_run(stage, first=stage.stage == "base")]
    return _dry_run(cfg, first=True, planned=gpus)


def _dry_run(cfg: RunConfig, first: bool, planned: int | None = None) -> list[str]:
    """`first`: the weights exist already; a later stage of the demo starts from what does not."""
    gpus = machine.num_gpus()
    processes = planned or machine.num_processes(cfg, gpus)
    validate(cfg, processes)
    check_precision(cfg, on_gpus=cfg.model.arch not in CPU_SIZED or 0 < processes <= gpus)
    sizes = cfg.parallel
    dp = processes // (sizes.tp * sizes.pp * sizes.cp)
    split = f"tp {sizes.tp} x pp {sizes.pp} x cp {sizes.cp} x dp {dp}"
    lines = [f"sizes    ok: {cfg.stage} ({cfg.task}) of {cfg.model.arch} on {processes} processes = {split}"]
    if cfg.model.arch not in CPU_SIZED and gpus < processes:
        lines.append(f"devices  not checked: {gpus} GPUs here, {processes} needed")
    if cfg.model.arch not in CPU_SIZED:
        lines.append(_check_memory(cfg, processes, gpus, planned))
    if first and cfg.model.weights not in ("random", "nano") and not Path(cfg.model.weights).is_dir():
        raise UserError(
            f"model.weights is {cfg.model.weights}, which is not a folder; run the stage before, or give a "
            "Hugging Face folder or another run directory"
        )
    lines.append(f"weights  ok: {cfg.model.weights}")
    lock.check_writable(Path(cfg.run_dir))
    lock.check_config(cfg)
    lines.append(f"run dir  ok: {cfg.run_dir}")
    lines.append(_check_data(cfg))
    return lines


def _check_memory(cfg: RunConfig, processes: int, gpus: int, planned: int | None) -> str:
    """The planner's word on the GPUs of this machine; for a planned number of others, on H100s."""
    gpu = _gpu_here() if gpus else hardware.GPUS["h100"] if planned else None
    if gpu is None:
        why = "these GPUs are not in the planner's table" if gpus else "give --gpus N, or see `fleming plan --help`"
        return f"memory   not checked: {why}"
    total = plan.fits(cfg, processes, gpu).memory.total / hardware.GB
    assumed = "" if gpus else ", assumed"
    return f"memory   ok: about {total:.0f} of {gpu.memory / hardware.GB:.0f} GB on each GPU ({gpu.name}{assumed})"


def _gpu_here() -> hardware.GPU | None:
    import torch

    return hardware.recognise(torch.cuda.get_device_name())


def _check_data(cfg: RunConfig) -> str:
    if not data_is_built(cfg) and cfg.data.synthesis is not None:
        lock.check_writable(Path(cfg.data.dir), "data directory", "data.dir")
        return f"data     ok: {cfg.data.dir} will be built"
    if not data_is_built(cfg):
        prepare_data(cfg)
    quiet_on_cpu()
    # The reader's own check, so that a dry run refuses what the run would refuse.
    from fleming_nemo.data import corpus, tokenizer

    manifest = corpus.check(Path(cfg.data.dir), tokenizer.load(cfg.data))
    plan = manifest["pack"]
    packs = f", packs of {plan['tokens']} tokens, which train.global_batch counts" if plan else ""
    return f"data     ok: {cfg.data.dir}, {manifest['documents']} documents, {manifest['tokens']} tokens{packs}"
