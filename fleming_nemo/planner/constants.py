"""Every number of the time model that is neither a data sheet's nor arithmetic, with its origin.

Three are calibrated, each on one published run (marked so in docs/scaling.md).  The others are assumptions, set before
any estimate was compared with a measurement.
"""

MATMUL_BF16 = 0.655
"""Share of the dense peak that large bf16 matrix products reach.  Calibrated: Llama 3.1 70B, BF16, 64 H100."""
MATMUL_FP8 = 0.625
"""The same for fp8, of its own peak; casts and scales count as memory traffic.  Calibrated: Llama 3 70B SFT, FP8, 32
H100.  cuBLAS alone reaches 0.65 to 0.70 (Azure's AI-benchmarking-guide, ND H100 v5)."""
ATTENTION = 0.50
"""Share of the bf16 peak of causal flash attention, forward and backward together: about what the paper of
FlashAttention-3 (arXiv 2407.08608) shows for H100, head size 128 and sequences of 4k to 16k."""
HBM = 0.85
"""Share of the memory bandwidth that streaming kernels reach: 2.9 of 3.35 TB/s (the same guide, STREAM copy)."""
DECODE_HBM = 0.41
"""The same for a decoding step, whose many small kernels do not stream all the time.  Calibrated: GRPO of
Llama-3.1-8B on 16 H100."""
NVLINK = 0.75
"""Share of the one-way NVLink bandwidth that collectives reach: an assumption."""
NETWORK = 0.80
"""Share of the network cards' bandwidth that collectives reach: an assumption, below what an idle fabric gives."""
LATENCY = 20e-6
"""Seconds to start one collective of a training step: an assumption."""
DECODE_LATENCY = 12e-6
"""Seconds of one small all-reduce inside a decoding step that a CUDA graph replays: an assumption."""
DECODE_STEP = 2e-3
"""Seconds of a decoding step on the host (scheduling, sampling): an assumption."""
EXPOSED_TP = 0.75
"""Share of the tensor-parallel communication that computation does not hide: all of the forward pass; in the backward
pass, what is not beside the weight's gradient."""
EXPOSED_TP_HIDDEN = 0.25
"""The same where user buffers run it beside the matrix products (`tp_comm_overlap`): an assumption."""
EXPOSED_CP = 0.5
"""The same for keys and values of context parallelism: an assumption."""
EXPOSED_P2P = 0.5
"""The same for sends and receives between pipeline stages: an assumption."""
HIDING = 0.8
"""Share of the last backward (first forward) pass that can hide the reduction of gradients (gathering of weights): all
buckets but the last."""
STEP = 0.05
"""Seconds of a step outside of the model (data, logging, the optimizer's host part): an assumption."""
REFIT = 0.2
"""Share of the link's bandwidth that a transfer of weights between engines reaches: an assumption."""
REFIT_FIXED = 3.0
"""Seconds to put a rollout engine to sleep, wake it and hand weights over, where it is a process of its own: an
assumption between the 0.5 s of NCCL alone and the 4 to 18 s that verl publishes."""
