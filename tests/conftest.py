"""Fixtures that several rooms share: a small tokenizer, and megatron-core for a job of one process."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine is no reason to fail
settings.register_profile("fleming", deadline=None)
settings.load_profile("fleming")
# tiny matrices: a second thread costs more than it brings, and sums keep one order
os.environ.setdefault("OMP_NUM_THREADS", "1")

TEXTS = [
    "<|im_start|>user\nGiven: velto has marfan; dori has lupus. What has velto?\nA) marfan\nB) lupus<|im_end|>\n",
    "<|im_start|>assistant\n<think>\nHere velto has marfan. So marfan is A.\n</think>\n\n<answer>A</answer><|im_end|>",
    "Which gene is associated with the disease? The variant of the gene causes a syndrome with a murmur.",
    "How many: red; green; blue? There are 3. So 3 is C. Which is last? The last is blue.",
]


def pytest_configure(config: pytest.Config) -> None:
    # what megatron-core says about extensions that a CPU has no use for
    config.addinivalue_line("filterwarnings", r"ignore::Warning:megatron\..*")
    # and what torch says about megatron-core's use of it
    config.addinivalue_line("filterwarnings", "ignore:`torch.distributed.:FutureWarning")
    config.addinivalue_line("filterwarnings", "ignore:.*deprecating ShardedTensor:FutureWarning")
    config.addinivalue_line("filterwarnings", "ignore:The .grad attribute of a Tensor:UserWarning")


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory):
    """A byte-level BPE tokenizer of about 320 tokens, far fewer than the tiny models have embedding rows."""
    from fleming_nemo.data.tokenizer import train_bpe

    return train_bpe(TEXTS, 320, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def one_process(tmp_path_factory: pytest.TempPathFactory):
    """Process groups of a job of one process, which is this one."""
    import torch

    from fleming_nemo.config.schema import ParallelConfig
    from fleming_nemo.parallel import groups

    torch.set_num_threads(1)
    store = tmp_path_factory.mktemp("store") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    groups.init(ParallelConfig(), seed=1)
    yield
    groups.shutdown()


@pytest.fixture(scope="session")
def weights(one_process: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Hugging Face folders of random weights, one for each small architecture."""
    import tiny

    return {arch: tiny.save_random(arch, tmp_path_factory.mktemp(arch)) for arch in tiny.ARCHITECTURES}
