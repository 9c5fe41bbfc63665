"""The peer of benchmarks/grpo.py: TRL's GRPOTrainer on given prompts.  Called by that script; prints JSON.

python grpo_peer.py TASK_JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset

NO_TOKEN = -1


def main(task_file: str) -> None:
    task = json.loads(Path(task_file).read_text())
    torch.set_num_threads(task["threads"])
    transformers.logging.set_verbosity_error()
    # not AutoTokenizer, which puts Qwen's splitting in place of this tokenizer's own
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(task["folder"])
    texts = task["texts"]
    if tokenizer(texts)["input_ids"] != task["prompts"]:
        raise SystemExit("the peer's tokenizer makes other token ids of the prompts")
    ends = {} if task["ends"] else {"generation_kwargs": {"eos_token_id": NO_TOKEN}}
    clock, lengths = Clock(), []

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        lengths.extend(map(len, completion_ids))
        return [float(sum(ids) % 2) for ids in completion_ids]

    with tempfile.TemporaryDirectory() as scratch:
        arguments = trl.GRPOConfig(
            output_dir=scratch,
            use_cpu=True,
            bf16=False,
            max_steps=task["steps"],
            per_device_train_batch_size=task["micro_batch"],
            gradient_accumulation_steps=task["batch"] // task["micro_batch"],
            num_generations=task["group"],
            max_completion_length=task["max_response"],
            temperature=1.0,
            beta=0.0,
            gradient_checkpointing=False,
            mask_truncated_completions=True,
            learning_rate=task["lr"],
            lr_scheduler_type="constant",
            optim="adamw_torch",
            shuffle_dataset=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **ends,
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(task["folder"], dtype=torch.float32)
        trainer = trl.GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=arguments,
            train_dataset=Dataset.from_list([{"prompt": text} for text in texts]),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        if not task["ends"]:
            trainer.eos_token_ids = [NO_TOKEN]  # nothing is cut off behind one either
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    counted = lengths[task["batch"] :]
    told = {"mean": sum(counted) / len(counted), "longest": max(counted)}
    print(json.dumps(told | {"seconds": clock.seconds(0)[1:], "cpu_seconds": clock.seconds(1)[1:]}))


class Clock(transformers.TrainerCallback):
    """Seconds of every step, generation included: 0 by the wall clock, 1 of this process."""

    def __init__(self) -> None:
        self._at: list[tuple[float, float]] = []

    def seconds(self, which: int) -> list[float]:
        return [b[which] - a[which] for a, b in zip(self._at, self._at[1:], strict=False)]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._at.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._at.append((time.perf_counter(), time.process_time()))


if __name__ == "__main__":
    main(*sys.argv[1:])
