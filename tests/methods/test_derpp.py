from __future__ import annotations

import pytest
import torch
from by_hand import LN2, gradient, logs, step

from maskcl.methods import Draw, find

# p(y) = 1/2 on the stream row; off by (1, 0, 2) on the first draw; p(y) = 1/8 on the second
LOGITS = logs([1, 1, 2], [1, 2, 1], [5, 1, 2])
STORED = LOGITS[1:2] - torch.tensor([[1.0, 0.0, 2.0]])
STEP = step(LOGITS, [2, 0, 1], 1, 1, 1, stored=(STORED, None))


def test_one_step_adds_the_labels_of_a_second_draw() -> None:
    method = find("der++")(alpha=0.3, beta=0.5)
    assert method.loss(STEP).item() == pytest.approx(LN2 + 0.3 * 5 / 3 + 0.5 * 3 * LN2)
    grad = gradient(method, STEP)
    assert grad[1].tolist() == pytest.approx([0.3 * 2 / 3, 0.0, 0.3 * 4 / 3])  # logits alone on the first
    assert grad[2].tolist() == pytest.approx([0.5 * 5 / 8, -0.5 * 7 / 8, 0.5 * 2 / 8])  # labels alone on the second


def test_without_memory_rows_it_is_fine_tuning() -> None:
    assert find("derpp")().loss(step(LOGITS[:1], [2], 1)).item() == pytest.approx(LN2)


def test_it_asks_for_two_draws_the_first_with_logits() -> None:
    assert find("derpp")(replay_batch=4).needs.draws == (Draw(4, stored_logits=True), Draw(4))
