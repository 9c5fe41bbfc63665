import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply, flatten, from_yaml, nearest, to_yaml
from fleming_nemo.config.presets import tiny
from fleming_nemo.config.schema import DemoConfig, RunConfig


def test_overrides_set_fields_and_later_ones_win():
    cfg = apply(RunConfig(), ["train.steps=10", "optim.lr=1e-4", "grpo.mix=[1,2]", "train.steps=20"])
    assert (cfg.train.steps, cfg.optim.lr, cfg.grpo.mix) == (20, 1e-4, [1, 2])


def test_the_given_config_stays_as_it_was():
    before = RunConfig()
    apply(before, ["train.steps=10"])
    assert before == RunConfig()


@pytest.mark.parametrize("text", ["Answer: briefly", "[1", "null", "1", "a=b", "{x}", "true", ""])
def test_text_is_taken_as_it_is(text):
    assert apply(RunConfig(), [f"data.system_prompt={text}"]).data.system_prompt == text


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("trian.steps=3", "there is no option 'trian.steps'; did you mean train.steps"),
        ("lrr=3", "there is no option 'lrr'; did you mean optim.lr"),
        ("temperature=3", "there is no option 'temperature'; did you mean rollout.temperature or eval.temperature"),
        ("zzzz=1", "there is no option 'zzzz'; --help lists the options"),
        ("train.steps=abc", "train.steps takes an integer, not 'abc'"),
        ("train.steps=1.5", "train.steps takes an integer, not '1.5'"),
        ("optim.lr=fast", "optim.lr takes a number, not 'fast'"),
        ("data.shuffle=maybe", "data.shuffle takes true or false, not 'maybe'"),
        ("grpo.mix=[a]", "grpo.mix takes a list of integers, not '[a]'"),
        ("train=3", "train is a section, not an option; set one of train.steps, "),
        ("train.steps", "'train.steps' is not an override; write key=value, for example train.steps=10"),
    ],
)
def test_a_wrong_override_is_one_sentence(override, sentence):
    with pytest.raises(UserError) as error:
        apply(RunConfig(), [override])
    assert str(error.value).startswith(sentence)


def test_the_last_part_will_do_where_only_one_option_has_it():
    cfg = apply(RunConfig(), ["precision=fp8", "lr=2e-5", "run_dir=here"])
    assert (cfg.model.precision, cfg.optim.lr, cfg.run_dir) == ("fp8", 2e-5, "here")


def test_demo_options_are_reached_through_their_stage():
    assert apply(DemoConfig(), ["grpo_stage2.grpo.mix=[1,3]"]).grpo_stage2.grpo.mix == [1, 3]
    with pytest.raises(UserError, match="did you mean sft.train.steps"):
        apply(DemoConfig(), ["sft.train.step=3"])


@given(st.integers(1, 10**9), st.floats(1e-12, 1e3), st.text(st.characters(codec="ascii", exclude_characters="$")))
def test_a_config_survives_yaml(tmp_path_factory, steps, lr, prompt):
    cfg = RunConfig()
    cfg.train.steps, cfg.optim.lr, cfg.data.system_prompt = steps, lr, prompt
    file = tmp_path_factory.mktemp("yaml") / "config.yaml"
    file.write_text(to_yaml(cfg))
    assert from_yaml(file) == cfg


def test_yaml_of_a_section_that_is_set(tmp_path):
    cfg = tiny(RunConfig())
    (tmp_path / "config.yaml").write_text(to_yaml(cfg))
    assert from_yaml(tmp_path / "config.yaml") == cfg


@pytest.mark.parametrize("text", ["train: {stepz: 3}", "train: [", "train: {steps: x}", "- 1"])
def test_a_broken_yaml_file_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match="config.yaml is not a valid RunConfig"):
        from_yaml(tmp_path / "config.yaml")


def test_flatten_names_every_leaf():
    leaves = flatten(RunConfig())
    assert leaves["train.steps"] == 100 and leaves["grpo.mix"] == [1, 1] and leaves["data.synthesis"] == "none"


def test_nearest_goes_by_the_whole_key_or_its_last_part():
    keys = ["optim.lr", "train.steps", "train.save_every"]
    assert nearest("trian.step", keys)[0] == "train.steps"
    assert nearest("lr", keys) == ["optim.lr"]
    assert nearest("qqqq", keys) == []
