from __future__ import annotations

import torch

torch.set_num_threads(1)
"""These tensors are tiny: where another process wants the cores, two threads take ten times as long as one."""
