"""The peer of benchmarks/sft.py: transformers' Trainer over given sequences.  Called by that script; prints JSON.

python sft_peer.py SEQUENCES.npz MODEL_FOLDER OPTIM_JSON STEPS GLOBAL_BATCH BATCH THREADS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
import transformers


def main(data: str, folder: str, optim: str, *numbers: str) -> None:
    steps, global_batch, batch, threads = map(int, numbers)
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    arrays = np.load(data)
    starts = [0, *arrays["ends"][:-1]]
    rows = [
        {"input_ids": arrays["tokens"][a:b], "labels": np.where(arrays["mask"][a:b] == 1, arrays["tokens"][a:b], -100)}
        for a, b in zip(starts, arrays["ends"], strict=True)
    ]
    pad = {"input_ids": int(arrays["pad_id"]), "labels": -100, "attention_mask": 0}

    def collate(examples: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        longest = max(len(e["input_ids"]) for e in examples)
        out = {name: np.full((len(examples), longest), value) for name, value in pad.items()}
        for n, example in enumerate(examples):
            example = {**example, "attention_mask": np.ones_like(example["labels"])}
            for name in pad:
                out[name][n, : len(example[name])] = example[name]
        return {name: torch.from_numpy(x.astype(np.int64)) for name, x in out.items()}

    clock, chosen = Clock(), json.loads(optim)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = transformers.TrainingArguments(
            output_dir=scratch,
            use_cpu=True,
            max_steps=steps,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=global_batch // batch,
            learning_rate=chosen["lr"],
            lr_scheduler_type="constant",
            weight_decay=chosen["weight_decay"],
            adam_beta1=0.9,
            adam_beta2=0.95,
            max_grad_norm=chosen["clip_grad"],
            optim="adamw_torch",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        trainer = InOrder(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[clock])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    tokens = sum(len(row["input_ids"]) for row in rows[global_batch:])
    print(json.dumps({"tokens_per_second": tokens / (clock.ended - clock.began), "losses": clock.losses}))


class Clock(transformers.TrainerCallback):
    """Time from the end of the first step to the end of the last, and every step's loss."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.losses: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = time.perf_counter()
        if state.global_step == 1:
            self.began = self.ended

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if "loss" in (logs or {}):
            self.losses.append(float(logs["loss"]))  # type: ignore[index]


class InOrder(transformers.Trainer):
    """Reads the sequences as they come."""

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
