"""Answer parsing and reward, shared by GRPO, distillation and evaluation."""
