"""What every recipe file calls: read the command line, then run, or only tell.

`python recipes/sft_7b.py [--tiny] [key.sub=value ...]` starts its own processes; under torchrun or srun the same line
is one rank of the run that these started.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from fleming_nemo.config import overrides
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.fields import options
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.launch import cluster, demo, local, preflight
from fleming_nemo.launch.resolve import ARGUMENTS, Recipe, arguments, resolve
from fleming_nemo.launch.worker import exit_now
from fleming_nemo.training.stop import STOPPED, Stopped


def main(recipe: Recipe, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a recipe from the command line and exit: 0 well, 2 the user can repair it, else the failing rank's code.

    85 (`training.stop.STOPPED`): the run was asked to stop, has saved itself, and goes on with the same command.
    """
    recipe_main(lambda: recipe, argv)


def recipe_main(load: Callable[[], Recipe], argv: Sequence[str] | None = None, prog: str | None = None) -> NoReturn:
    """The same for a recipe that has yet to be loaded, which may go wrong."""
    debug = "--debug" in (sys.argv if argv is None else argv)

    def action() -> None:
        recipe = load()
        _act(recipe, _parser(recipe, prog).parse_intermixed_args(argv))

    exit_with(action, debug)


def exit_with(action: Callable[[], None], debug: bool) -> NoReturn:
    """Call `action`, turn what it raises into a message on stderr and an exit code, and end the process."""
    try:
        action()
        code = 0
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except local.WorkerFailed as error:
        print(f"error: {error.report}", file=sys.stderr, end="")
        code = error.exit_code
    except Stopped as stopped:
        if os.environ.get("RANK", "0") == "0":
            print(stopped, file=sys.stderr)
        code = STOPPED
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the newest checkpoint", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Whoever read the output has gone; nothing is left to say, not even at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    except Exception:
        traceback.print_exc()
        code = 1
    if code and "RANK" in os.environ:
        exit_now(code)
    sys.exit(code)


def execute(cfg: RunConfig | DemoConfig) -> dict[str, Any]:
    """Run a config here: as one rank where torchrun or srun started this process, else by starting the processes."""
    if cluster.is_worker(os.environ):
        if isinstance(cfg, DemoConfig):
            raise UserError("the demo starts its own processes; run it once, without torchrun or srun")
        return cluster.run_rank(cfg)
    return demo.run_demo(cfg) if isinstance(cfg, DemoConfig) else local.launch(cfg)


def option_reference(cfg: RunConfig | DemoConfig) -> str:
    """Every option with this recipe's value and its documentation."""
    values = overrides.flatten(cfg)
    lines = ["options with this recipe's values:"]
    for option in options(type(cfg)):
        value = values[option.key]
        lines.append(f"  {option.key} = {value if value != '' else repr('')}")
        lines += textwrap.wrap(option.doc, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def config_of(recipe: Recipe, argv: Sequence[str]) -> RunConfig | DemoConfig:
    """The config that a recipe's command line stands for, for programs that take the same one."""
    return _config(recipe, _parser(recipe, None).parse_intermixed_args(argv))


def _config(recipe: Recipe, args: argparse.Namespace) -> RunConfig | DemoConfig:
    asked = {name: getattr(args, name) for name in arguments(recipe)}
    return resolve(recipe, [*args.overrides, *_of_flags(args)], args.tiny, **asked)


def _act(recipe: Recipe, args: argparse.Namespace) -> None:
    cfg = _config(recipe, args)
    if args.print_config:
        print(overrides.to_yaml(cfg), end="")
        return
    if args.dry_run:
        print("\n".join(preflight.dry_run(cfg, getattr(args, "gpus", None))))
        return
    began = time.monotonic()
    execute(cfg)
    if os.environ.get("RANK", "0") == "0":
        print(f"finished in {time.monotonic() - began:.0f} s; results in {cfg.run_dir}")


def _of_flags(args: argparse.Namespace) -> list[str]:
    """Overrides that have a flag of their own."""
    flags = ["rollout.record=keep"] if getattr(args, "record", False) else []
    return flags + ([f"rollout.record={args.replay}"] if getattr(args, "replay", None) else [])


def _parser(recipe: Recipe, prog: str | None) -> argparse.ArgumentParser:
    cfg = recipe()
    small = {"--tiny", "--quick"} if isinstance(cfg, DemoConfig) else {"--tiny"}
    parser = argparse.ArgumentParser(
        prog=prog,
        description=(recipe.__doc__ or "").strip(),
        epilog=option_reference(cfg).replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="set any option below, for example seed=2")
    parser.add_argument(*sorted(small), dest="tiny", action="store_true", help="the same run in small, on a CPU")
    for name, default in arguments(recipe).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, metavar="N", help=f"{ARGUMENTS[name]}; {default} if not given")
    if isinstance(cfg, RunConfig) and cfg.task == "grpo":
        rollouts = parser.add_mutually_exclusive_group()
        rollouts.add_argument("--record", action="store_true", help="keep the rollouts of every step (rollout.record)")
        rollouts.add_argument(
            "--replay", metavar="RUN", help="train on the rollouts of a recorded run (rollout.record)"
        )
    parser.add_argument("--print-config", action="store_true", help="print the resolved config and stop")
    parser.add_argument("--dry-run", action="store_true", help="check all that needs no GPU and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser
