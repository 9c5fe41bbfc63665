#!/usr/bin/env python3
"""Mine hard questions with a checkpoint or a Hugging Face folder, without training.

    python data_prep/mine_hard.py recipes/grpo_stage2_7b.py model.weights=runs/grpo_stage1_7b

Takes the recipe of a stage 2 for its model, layout, pool and options, and leaves mined.json and mining.json in its run
directory: the stage, started afterwards, begins with them.  Under torchrun or srun this is one rank, as a recipe is.
"""

import argparse

from fleming_nemo.launch.main import exit_with
from fleming_nemo.launch.mine import mine_alone
from fleming_nemo.launch.resolve import load_recipe, resolve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="recipe of a stage 2, for example recipes/grpo_stage2_7b.py")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="options of the recipe")
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs of the whole run, for recipes that ask for them")
    parser.add_argument("--tiny", action="store_true", help="the recipe in small, on a CPU")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_intermixed_args()

    def action() -> None:
        cfg = resolve(load_recipe(args.recipe), args.overrides, args.tiny, gpus=args.gpus)
        found = mine_alone(cfg)
        sizes = ", ".join(f"{found[name]} {name}" for name in ("right", "wrong", "between", "quarantined"))
        print(f"{sizes}; mined.json and mining.json in {cfg.run_dir}")

    exit_with(action, args.debug)


if __name__ == "__main__":
    main()
