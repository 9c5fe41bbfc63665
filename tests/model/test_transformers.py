"""transformers reads what is exported: the same logits, the same token ids, the same rendered chats."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.data import files
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import NANO_DIR, ChatTokenizer
from fleming_nemo.model import hf, hf_config, hf_tokenizer

CLASSES = {"qwen2.5": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}
SYSTEM = 'Answer in "JSON"\nor \\ not; {{ braces }} and {% percents %} stay: 心'
TEXTS = [
    "What has velto?",
    "  two  spaces\n\n\tand a tab",
    "naïve café 心脏 é",
    "<|im_start|>x<|im_end|><think>\n",
    "12345 of 678: A) x.",
]


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny", "llama-tiny"])
@pytest.mark.usefixtures("one_process")
def test_logits(arch: str, weights: dict[str, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = weights.get(arch) or tiny.save_random(arch, tmp_path / "random")
    network = tiny.engine(tiny.config(arch), folder).network.eval()
    hf.save([network], tmp_path / "out", ARCHS[arch], max_shard_bytes=300_000)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == CLASSES[ARCHS[arch].family]
    assert model.dtype == torch.float32
    tokens_BT = torch.randint(0, ARCHS[arch].vocab_size, (2, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(tokens_BT).logits
        got = network(tokens_BT, torch.arange(50).expand(2, 50), None)
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def exported(chat: ChatTokenizer, system: str, folder: Path, arch: str = "qwen3-tiny") -> Path:
    """A folder as an export writes it, but for the weights."""
    folder.mkdir(exist_ok=True)
    hf_tokenizer.write(chat, system, 512, folder)
    files.write_json(folder / "config.json", hf_config.config_json(ARCHS[arch], "float32"))
    return folder


def with_rules_of_qwen(chat: ChatTokenizer, folder: Path) -> ChatTokenizer:
    """The same vocabulary, normalised and split as Qwen's tokenizer.json says."""
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = files.read_json(chat.folder / "tokenizer.json")
    tokenizer["normalizer"] = {"type": "NFC"}
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": PRETOKENIZE_REGEX}
    files.write_json(folder / "tokenizer.json", tokenizer)
    return ChatTokenizer(folder)


def same_ids(theirs: Any, ours: ChatTokenizer) -> bool:
    ids = [ours.encode(text) for text in TEXTS]
    assert [theirs.decode(row) for row in ids] == [ours.decode(row) for row in ids]
    assert (theirs.eos_token_id, theirs.pad_token_id, theirs.bos_token_id) == (ours.end_id, ours.pad_id, None)
    assert theirs.model_max_length == 512
    return [theirs(text)["input_ids"] for text in TEXTS] == ids


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny", "llama-tiny"])
@pytest.mark.parametrize("rules", ["own", "of Qwen"])
def test_token_ids(rules: str, arch: str, tmp_path: Path) -> None:
    """Where AutoTokenizer does not read tokenizer.json as it is, the user is told, and told what does."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    ours = ChatTokenizer(NANO_DIR)
    if rules == "of Qwen":
        ours = with_rules_of_qwen(ours, tmp_path)
    folder = exported(ours, "", tmp_path / "out", arch)
    assert same_ids(PreTrainedTokenizerFast.from_pretrained(folder), ours)
    warned = hf_tokenizer.warning(ours, ARCHS[arch].family)
    assert same_ids(AutoTokenizer.from_pretrained(folder), ours) == (warned is None)
    assert (warned is None) == ((rules, arch) != ("own", "qwen2.5-tiny"))


@pytest.mark.parametrize("system", ["", SYSTEM])
@pytest.mark.parametrize("context", [None, "velto has marfan."])
def test_chats(context: str | None, system: str, chat: ChatTokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(exported(chat, system, tmp_path))
    item = QAItem("1", "Which?", ("A gene", "B gene"), 1, context, "made-up", "en", "sft", None, {})
    user = ("velto has marfan.\n\n" if context else "") + "Which?\nA) A gene\nB) B gene"
    turns = [{"role": "user", "content": user}]
    assert theirs.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) == render_prompt(item, system)
    answered = [*turns, {"role": "assistant", "content": "<think>\nSo B.\n</think>\n\n<answer>B</answer>"}]
    expected = render_prompt(item, system) + render_response("So B.", "B")
    assert theirs.apply_chat_template(answered, tokenize=False) == expected
    own = [{"role": "system", "content": "Be kind."}, *turns]
    assert theirs.apply_chat_template(own, add_generation_prompt=True, tokenize=False) == render_prompt(
        item, "Be kind."
    )
    ids = theirs.apply_chat_template(answered, tokenize=True, return_dict=False)
    assert ids == chat.encode(expected)


def test_generation_stops_where_rollouts_stop(chat: ChatTokenizer, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    config = GenerationConfig.from_pretrained(exported(chat, "", tmp_path))
    assert config.eos_token_id == [chat.end_id, chat.pad_id] and config.pad_token_id == chat.pad_id
