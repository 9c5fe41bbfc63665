"""The user-facing surface: few options, each documented, importable on a machine without torch."""

import subprocess
import sys

from fleming_nemo.config.fields import describe_type, options
from fleming_nemo.config.schema import DemoConfig, RunConfig


def test_a_run_has_about_sixty_options():
    """A further one takes the place of another."""
    assert len(list(options(RunConfig))) <= 66


def test_every_option_is_documented_and_typed():
    for option in options(RunConfig):
        assert option.doc.endswith("."), option.key
        assert describe_type(option.type).split()[0] in ("a", "an", "true"), option.key


def test_a_demo_has_the_options_of_its_four_stages():
    assert len(list(options(DemoConfig))) == 2 + 4 * len(list(options(RunConfig)))


def test_configs_recipes_and_help_do_without_torch():
    code = """
import sys, runpy
import fleming_nemo.config.validate, fleming_nemo.cli
from fleming_nemo.launch.resolve import load_recipe, resolve
names = ("sft_7b", "sft_32b", "grpo_stage1_7b", "grpo_stage2_7b", "grpo_stage1_32b", "grpo_stage2_32b", "demo")
for name in names:
    resolve(load_recipe(f"recipes/{name}.py"), tiny=True)
heavy = [m for m in ("torch", "megatron", "matplotlib", "submitit") if m in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
