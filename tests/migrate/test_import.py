"""Configs of other trainers become ours, and no field of them is lost."""

from pathlib import Path

import configs
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.fields import options
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo.objectives import OBJECTIVES
from fleming_nemo.launch.resolve import load_recipe
from fleming_nemo.migrate import convert, inherit, written
from fleming_nemo.migrate.nemo_rl.loss import CLIPS
from fleming_nemo.migrate.rules import IMPLIED, MAPPED, OFF, UNKNOWN, WITHOUT, Import


@pytest.fixture
def nemo_rl(tmp_path: Path) -> Path:
    """A base config on DTensor and, in a folder below, one that inherits from it and switches to Megatron."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "base.yaml").write_text(configs.NEMO_RL_BASE)
    child = tmp_path / "recipes" / "child.yaml"
    child.write_text(configs.NEMO_RL_CHILD)
    return child


def imported(folder: Path, text: str, name: str = "it.yaml") -> Import:
    (folder / name).write_text(text)
    return convert.import_file(folder / name)


def verdicts(out: Import) -> dict[str, str]:
    return {entry.key: entry.verdict for entry in out.entries}


def test_a_child_takes_the_megatron_half_of_its_parent(nemo_rl):
    cfg = convert.config(convert.import_file(nemo_rl))
    assert (cfg.optim.lr, cfg.optim.weight_decay, cfg.optim.betas, cfg.optim.clip_grad) == (
        2e-6,
        0.01,
        [0.9, 0.98],
        0.5,
    )
    assert (cfg.parallel.tp, cfg.parallel.sequence_parallel, cfg.model.recompute) == (2, True, -1)
    assert (cfg.model.arch, cfg.model.weights) == ("qwen2.5-7b", "models/Qwen2.5-7B-Instruct")
    assert cfg.run_dir == "results/child"


def test_the_parent_itself_takes_the_other_half(nemo_rl):
    cfg = convert.config(convert.import_file(nemo_rl.parents[1] / "base.yaml"))
    assert (cfg.optim.lr, cfg.optim.weight_decay, cfg.parallel.tp, cfg.optim.decay) == (9e-6, 0.05, 1, "constant")


def test_engines_beside_the_trainer(nemo_rl):
    generation = "generation: {backend: vllm, vllm_cfg: {tensor_parallel_size: 4, precision: fp8}}"
    text = f"""
        defaults: base.yaml
        policy: {{{generation}}}
        grpo: {{async_grpo: {{enabled: true}}}}
        loss_fn: {{use_importance_sampling_correction: true}}
    """
    rollout, grpo = (cfg := convert.config(imported(nemo_rl.parents[1], text))).rollout, cfg.grpo
    assert (rollout.engine, rollout.tp, rollout.staleness, grpo.correction) == ("vllm-fp8", 4, 1, "token")
    assert convert.config(convert.import_file(nemo_rl)).rollout.engine == "trainer"  # `megatron`


def test_units_change(nemo_rl):
    """32 responses a step in updates of 8 are four updates; 6 iterations of warm-up are then two steps, 9 are three."""
    cfg = convert.config(convert.import_file(nemo_rl))
    assert (cfg.grpo.updates_per_batch, cfg.optim.warmup_steps) == (4, 2)
    assert cfg.train.pack_tokens == 2 * 512
    assert cfg.rollout.max_response == 512 - 512 // 8  # no length of the prompt is given: an eighth
    base = convert.config(convert.import_file(nemo_rl.parents[1] / "base.yaml"))
    assert base.optim.warmup_steps == 3


def test_every_leaf_of_the_file_is_listed_once(nemo_rl):
    out = convert.import_file(nemo_rl)
    assert [entry.key for entry in out.entries] == list(inherit.load(nemo_rl))
    assert UNKNOWN not in verdicts(out).values()


@pytest.mark.parametrize(
    "key, verdict",
    [
        ("grpo.num_prompts_per_step", MAPPED),
        ("loss_fn.reference_policy_kl_type", IMPLIED),
        ("loss_fn.ratio_clip_min", IMPLIED),
        ("loss_fn.ratio_clip_max", WITHOUT),  # dapo's is .28
        ("grpo.use_leave_one_out_baseline", WITHOUT),
        ("grpo.async_grpo.max_trajectory_age_steps", OFF),
        ("policy.optimizer.kwargs.lr", OFF),
        ("policy.dtensor_cfg.tensor_parallel_size", OFF),
        ("loss_fn.ratio_clip_c", OFF),
        ("data.train.dataset_name", WITHOUT),
        ("logger.wandb.project", OFF),
    ],
)
def test_what_becomes_of_a_field(nemo_rl, key, verdict):
    assert verdicts(convert.import_file(nemo_rl))[key] == verdict


@pytest.mark.parametrize(
    "loss, grpo, objective",
    [
        ("token_level_loss: false", "", "grpo"),
        ("token_level_loss: true", "normalize_rewards: false", "dr_grpo"),
        ("{token_level_loss: false, sequence_level_importance_ratios: true}", "", "gspo"),
        ("use_cispo: true", "", "cispo"),
    ],
)
def test_objectives_by_their_reduction_ratio_and_normalisation(nemo_rl, loss, grpo, objective):
    text = f"defaults: base.yaml\nloss_fn: {loss if loss[0] == '{' else '{' + loss + '}'}\ngrpo: {{{grpo}}}\n"
    assert imported(nemo_rl.parents[1], text).options["grpo.objective"] == objective


def test_the_clips_are_those_of_the_objectives():
    for name, clip in CLIPS.items():
        assert (OBJECTIVES[name].clip_low, OBJECTIVES[name].clip_high) == clip


def test_an_unknown_key_is_listed_as_such(nemo_rl):
    out = imported(
        nemo_rl.parents[1], "defaults: base.yaml\ngrpo: {num_promts_per_step: 4}\npolicy: {shiny: {new: 1}}\n"
    )
    assert {e.key for e in out.entries if e.verdict == UNKNOWN} == {"grpo.num_promts_per_step", "policy.shiny.new"}
    assert "unknown: 2" in written.listing(out)


def test_a_section_set_to_null_is_off(nemo_rl):
    out = imported(nemo_rl.parents[1], "defaults: base.yaml\ngrpo: {async_grpo: null, shiny: null}\n")
    assert (verdicts(out)["grpo.async_grpo"], verdicts(out)["grpo.shiny"]) == (OFF, UNKNOWN)


def test_a_section_can_replace_that_of_the_parent(nemo_rl):
    out = imported(nemo_rl.parents[1], "defaults: base.yaml\nlogger: {_override_: true, log_dir: elsewhere}\n")
    assert [e.key for e in out.entries if e.key.startswith("logger")] == ["logger.log_dir"]


def test_parents_are_found_in_another_folder(nemo_rl, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("alone") / "child.yaml"
    elsewhere.write_text(configs.NEMO_RL_CHILD)
    with pytest.raises(UserError, match="--defaults"):
        convert.import_file(elsewhere)
    assert convert.import_file(elsewhere, nemo_rl.parents[1]).options == convert.import_file(nemo_rl).options


def test_a_circle_of_parents_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("defaults: b.yaml\n")
    (tmp_path / "b.yaml").write_text("defaults: a.yaml\n")
    with pytest.raises(UserError, match="inherits from itself"):
        convert.import_file(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["[1, 2]", "a: {b: 1}", "policy: {model_name: x}", "a: ${no.such}", "a: [\n"])
def test_other_files_are_refused_in_a_sentence(tmp_path, text):
    with pytest.raises(UserError, match="it.yaml"):
        imported(tmp_path, text)


@pytest.mark.parametrize(
    "name, sentence", [("it.py", "--to-yaml"), ("it.nemo", "Hugging Face folder"), ("it.yaml", "no YAML")]
)
def test_files_that_are_no_text_or_another_language(tmp_path, name, sentence):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=sentence):
        convert.import_file(tmp_path / name)


def test_nemo_2_recipes(tmp_path):
    out = imported(tmp_path, configs.NEMO2)
    cfg = convert.config(out)
    assert (cfg.task, cfg.model.arch, cfg.model.weights) == ("sft", "qwen2.5-7b", "models/Qwen2.5-7B")
    assert (cfg.train.steps, cfg.train.global_batch, cfg.train.seq_length) == (1000, 128, 2048)
    assert (cfg.optim.lr, cfg.optim.betas, cfg.optim.decay, cfg.optim.warmup_steps) == (5e-6, [0.9, 0.98], "cosine", 50)
    assert (cfg.parallel.tp, cfg.model.precision, cfg.run_dir) == (2, "bf16", "/results/my_run")
    assert out.arguments == {"--gpus-per-node": 8, "--nodes": 2}
    assert UNKNOWN not in verdicts(out).values()
    assert verdicts(out)["optim.lr_scheduler.min_lr"] == WITHOUT  # ours ends at a tenth, not at 0
    assert convert.obstacle(cfg, out.arguments) is None


def test_nemo_2_counts_packs_where_it_packs(tmp_path):
    text = configs.NEMO2.replace(
        "global_batch_size: 128", "packed_sequence_specs: {packed_sequence_size: 2048}, global_batch_size: 8"
    )
    out = imported(tmp_path, text)
    assert out.options["train.pack_tokens"] == 2048
    assert verdicts(out)["data.global_batch_size"] == WITHOUT


def test_nemo_aligner_configs(tmp_path):
    out = imported(tmp_path, configs.ALIGNER)
    cfg = convert.config(out)
    assert (cfg.grpo.prompts_per_step, cfg.grpo.rollouts_per_prompt, cfg.grpo.updates_per_batch) == (16, 8, 4)
    assert (cfg.rollout.max_response, cfg.optim.lr, cfg.grpo.objective) == (2048, 9e-7, "dapo")
    assert verdicts(out)["trainer.grpo.max_steps"] == WITHOUT
    assert UNKNOWN not in verdicts(out).values()


@pytest.mark.parametrize("schema", convert.SCHEMAS, ids=lambda s: s.NAME)
def test_rules_lead_to_options_that_exist(schema):
    known = {o.key for o in options(RunConfig)}
    for rule in schema.TABLE:
        assert rule.to in known or rule.to.startswith("--") or rule.verdict != MAPPED, rule
        assert rule.note or rule.verdict == MAPPED, f"{rule.source}: why?"


@pytest.mark.parametrize("text", [configs.NEMO_RL_BASE, configs.NEMO2, configs.ALIGNER], ids=["rl", "nemo2", "aligner"])
def test_the_written_recipe_is_the_config(tmp_path, text):
    out = imported(tmp_path, text)
    file = tmp_path / "mine.py"
    file.write_text(written.recipe(out, convert.config(out), tmp_path / "it.yaml", file))
    assert load_recipe(file)() == convert.config(out)
    assert max(map(len, file.read_text().splitlines())) <= 120
