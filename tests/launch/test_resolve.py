import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.launch import stages as demo_stages
from fleming_nemo.launch.resolve import load_recipe, resolve


def test_the_command_line_wins_over_tiny():
    cfg = resolve(RunConfig, ["train.steps=9", "model.arch=nano"], tiny=True)
    assert (cfg.train.steps, cfg.model.arch, cfg.model.precision) == (9, "nano", "fp32")


def test_data_of_a_tiny_run_moves_with_its_run_directory():
    assert resolve(RunConfig, ["run_dir=x"], tiny=True).data.dir == "x/data"
    assert resolve(RunConfig, ["run_dir=x", "data.dir=y"], tiny=True).data.dir == "y"


@pytest.mark.parametrize("name, fewest", [("sft_7b", 8), ("sft_32b", 16), ("grpo_stage1_7b", 8), ("grpo_stage2_7b", 8)])
def test_recipes_are_valid_on_few_and_on_many_gpus(name, fewest):
    for gpus in (fewest, 64):
        validate(resolve(load_recipe(f"recipes/{name}.py"), gpus=gpus), gpus)


@pytest.mark.parametrize("quick", [False, True])
def test_the_demo_chains_its_stages(quick):
    stages = demo_stages.chain(resolve(load_recipe("recipes/demo.py"), ["run_dir=d", "seed=5"], tiny=quick))
    assert list(stages) == ["base", "sft", "grpo_stage1", "grpo_stage2"]
    assert [s.model.weights for s in stages.values()] == ["nano", "nano", "d/sft", "d/grpo_stage1"]
    assert {(s.seed, s.data.dir) for s in stages.values()} == {(5, "d/data")}
    for stage in stages.values():
        validate(stage, 2)


@pytest.mark.parametrize("override", ["sft.run_dir=x", "base.seed=2", "grpo_stage1.model.weights=x", "base.data.dir=x"])
def test_what_the_demo_decides_cannot_be_set(override):
    cfg = resolve(load_recipe("recipes/demo.py"), [override])
    with pytest.raises(UserError, match=f"{override.split('=')[0]} is decided by the demo"):
        demo_stages.chain(cfg)


@pytest.mark.parametrize(
    "content, sentence",
    [(None, "there is no recipe"), ("x = 1\n", "defines no function `recipe`")],
)
def test_a_file_that_is_no_recipe(tmp_path, content, sentence):
    file = tmp_path / "mine.py"
    if content:
        file.write_text(content)
    with pytest.raises(UserError, match=sentence):
        load_recipe(file)
