"""Packs in which the responses to one question share one copy of their prompt.

A family lies in the pack as its prefix and then the rest of each of its members.  The prefix is what they have in
common but its last token: that one begins every member, so that each has a position of its own to predict its first
token from.  A member's positions go on where the prefix ends; it attends to the prefix and to itself, so that the
hidden states, and the gradients of everything, are those of the sequences written out in full.

Shapes: t tokens, n heads, g key/value heads, d of each; M members of a family, P tokens of its prefix, L of a member.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fleming_nemo.parallel import fused, groups  # noqa: F401  first: groups switches the CPU backend on

from megatron.core.packed_seq_params import PackedSeqParams  # isort: skip


@dataclass(frozen=True)
class Family:
    """Lengths of a prefix and of what each member adds to it."""

    prefix: int
    members: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return self.prefix + sum(self.members)


@dataclass
class SharedPrompts(PackedSeqParams):
    """A pack of families; megatron-core sees one sequence, and its tokens are rotated by positions of their own."""

    families: tuple[Family, ...] = ()
    positions_T: Tensor | None = None
    _plans: dict[Family, _Plan] = field(default_factory=dict)
    _rotation: tuple[Tensor, Tensor] | None = None

    def rotation(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [t, 1, 1, d / 2] of the tokens, from the angles [positions, 1, 1, d] of the network."""
        if self._rotation is None:
            assert self.positions_T is not None
            half = angles[..., : angles.size(-1) // 2].index_select(0, self.positions_T)
            self._rotation = half.cos(), half.sin()
        return self._rotation

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        """[t, n, d], [t, g, d], [t, g, d] -> [t, n, d]."""
        sizes = [family.tokens for family in self.families]
        parts = zip(self.families, *(x.split(sizes) for x in (query, key, value)), strict=True)
        return torch.cat([out for family, q, k, v in parts for out in self._of_family(family, q, k, v, scale)])

    def _of_family(self, family: Family, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> list[Tensor]:
        plan = self._plans.get(family)
        if plan is None:
            plan = self._plans[family] = _Plan.of(family, q)
        (q_prefix, q), (k_prefix, k), (v_prefix, v) = (
            x.split([family.prefix, len(x) - family.prefix]) for x in (q, k, v)
        )
        done = []
        if family.prefix:
            done.append(_attention(q_prefix[None], k_prefix[None], v_prefix[None], None, scale)[0])
        q, k, v = plan.rows(q), plan.rows(k), plan.rows(v)
        if family.prefix:
            k, v = (torch.cat([p.expand(len(x), *p.shape), x], 1) for p, x in ((k_prefix, k), (v_prefix, v)))
        out_MLnd = _attention(q, k, v, plan.mask if family.prefix else None, scale)
        return [*done, plan.flat(out_MLnd)]


@dataclass(frozen=True)
class _Plan:
    """Members of different length as rows of one tensor, and back.

    Rows end with copies of their last token.  Nothing of theirs is kept, and no other token sees them.
    """

    count: int
    padded: Tensor | None
    kept: Tensor | None
    mask: Tensor
    """[L, P + L]: causal, with the prefix before it."""

    @classmethod
    def of(cls, family: Family, like: Tensor) -> _Plan:
        longest = max(family.members)
        causal = torch.ones(longest, family.prefix + longest, dtype=torch.bool, device=like.device)
        mask = torch.zeros_like(causal, dtype=like.dtype).masked_fill_(~causal.tril(family.prefix), -torch.inf)
        if min(family.members) == longest:
            return cls(len(family.members), None, None, mask)
        length_M = torch.tensor(family.members, device=like.device)
        step_L = torch.arange(longest, device=like.device)
        start_M = length_M.cumsum(0) - length_M
        padded_ML = start_M[:, None] + torch.minimum(step_L, length_M[:, None] - 1)
        kept = (step_L < length_M[:, None]).flatten().nonzero()[:, 0]
        return cls(len(family.members), padded_ML.flatten(), kept, mask)

    def rows(self, x: Tensor) -> Tensor:
        """[sum of L, heads, d] -> [M, L, heads, d]."""
        return (x if self.padded is None else x.index_select(0, self.padded)).unflatten(0, (self.count, -1))

    def flat(self, x: Tensor) -> Tensor:
        x = x.flatten(0, 1)
        return x if self.kept is None else x.index_select(0, self.kept)


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """[M, L, heads, d] each; causal where no mask says otherwise."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.size(1) != k.size(1)
    )
    return out.transpose(1, 2)


def rotated_by_position(attention: type) -> type:
    """megatron-core's self-attention, which rotates the tokens of `SharedPrompts` by their own positions."""

    class ByPosition(attention):
        _rotation: tuple[Tensor, Tensor] | None = None

        def forward(self, hidden_states: Tensor, attention_mask: Any, **kwargs: Any) -> Any:
            packed = kwargs.get("packed_seq_params")
            if not isinstance(packed, SharedPrompts):
                return super().forward(hidden_states, attention_mask, **kwargs)
            self._rotation = packed.rotation(kwargs.pop("rotary_pos_emb"))
            try:
                return super().forward(hidden_states, attention_mask, **kwargs)
            finally:
                self._rotation = None

        def _adjust_key_value_for_inference(
            self, inference_context: Any, query: Tensor, key: Tensor, *rest: Any, **kwargs: Any
        ) -> Any:
            """The one place between the projection and the rotation that a subclass can reach."""
            if self._rotation is not None:
                query, key = (fused.rotate(x, *self._rotation) for x in (query, key))
            return super()._adjust_key_value_for_inference(inference_context, query, key, *rest, **kwargs)

    return ByPosition
