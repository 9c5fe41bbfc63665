"""Where NeMo-Run starts a recipe: executors for `nemorun fleming train ... run.executor=NAME run.executor.FIELD=VALUE`.

Without one a run starts its own processes on one node; with these the ranks are started by torchrun or by Slurm.
"""

import nemo_run as run

GPUS_PER_NODE = 8


@run.cli.factory
def fleming_local() -> run.Config[run.LocalExecutor]:
    """This machine, `ntasks_per_node` ranks started by torchrun."""
    return run.Config(run.LocalExecutor, ntasks_per_node=GPUS_PER_NODE, launcher="torchrun")


@run.cli.factory
def fleming_slurm() -> run.Config[run.SlurmExecutor]:
    """The Slurm whose commands are on this machine, without a container; one task for each rank.

    Set `account`, `nodes`, `ntasks_per_node`, `gpus_per_node`, `partition` and `time` as for sbatch.  NeMo-Run keeps
    its scripts and logs in NEMORUN_HOME, which has to be a folder that all nodes see.
    """
    return run.Config(
        run.SlurmExecutor,
        account="",
        nodes=1,
        ntasks_per_node=GPUS_PER_NODE,
        time="04:00:00",
        tunnel=run.Config(run.LocalTunnel, job_dir=""),
        packager=run.Config(run.Packager),
        srun_args=["--kill-on-bad-exit=1"],
    )
