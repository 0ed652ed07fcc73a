"""What counts of rows add to logits: the formula, and what must not matter."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from maskcl.errors import MaskclError
from maskcl.functional import cross_entropy, leaky_logits, log_prior

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=6)


@given(counts=COUNTS, power=st.floats(0, 2))
def test_it_is_the_logarithm_of_the_ratio_to_the_class_with_most_rows(counts: list[int], power: float) -> None:
    found = log_prior(torch.tensor(counts, dtype=torch.float64), power=power)
    rows = [n or 1 for n in counts]
    expected = [power * (math.log(n) - math.log(max(rows))) for n in rows]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert found.dtype == torch.float64


def test_between_two_groups_of_classes_it_is_a_leak() -> None:
    logits, active = torch.randn(4, 5, dtype=torch.float64), torch.tensor([False, False, False, True, True])
    counts = torch.tensor([20.0, 20, 20, 6000, 6000], dtype=torch.float64)
    torch.testing.assert_close(logits + log_prior(counts), leaky_logits(logits, active, leak=20 / 6000))
    torch.testing.assert_close(
        logits + log_prior(counts, power=0.5), leaky_logits(logits, active, leak=(20 / 6000) ** 0.5)
    )


def test_equal_counts_are_no_mask_to_the_last_bit() -> None:
    assert log_prior([7, 7, 7]).tolist() == [0.0] * 3
    assert log_prior([7, 3, 0], power=0.0).tolist() == [0.0] * 3
    assert log_prior([0, 0]).tolist() == [0.0] * 2


@given(split=st.integers(1, 9))
def test_a_class_cut_in_two_has_the_same_loss(split: int) -> None:
    """The rows of the memory weigh what they weigh, whatever number of old classes they belong to."""
    logits = torch.randn(3, 3, dtype=torch.float64)
    cut = torch.cat([logits[:, :1], logits], 1)
    labels, counts = torch.tensor([1, 2, 2]), torch.tensor([10.0, 90, 300], dtype=torch.float64)
    two = torch.tensor([split, 10.0 - split, 90, 300], dtype=torch.float64)
    whole = cross_entropy(logits + log_prior(counts), labels)
    torch.testing.assert_close(cross_entropy(cut + log_prior(two), labels + 1), whole)


def test_a_class_without_a_row_counts_one() -> None:
    """Between 6,000 rows and none the leak is that between 6,000 and 1; forty such classes weigh 40 rows together."""
    logits = torch.randn(3, 2, dtype=torch.float64)
    wide = torch.cat([logits, torch.zeros(3, 40, dtype=torch.float64)], 1)
    one = torch.cat([logits, torch.zeros(3, 1, dtype=torch.float64)], 1)
    counts = torch.tensor([6000.0, 50.0] + [0.0] * 40, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1])
    together = torch.tensor([6000.0, 50.0, 40.0], dtype=torch.float64)
    expected = cross_entropy(one + log_prior(together), labels)
    torch.testing.assert_close(cross_entropy(wide + log_prior(counts), labels), expected)


def test_leading_dimensions_are_a_loop_over_members_with_powers_of_their_own() -> None:
    counts, powers = torch.tensor([[5.0, 1.0, 0.0], [2.0, 8.0, 8.0]]), torch.tensor([0.5, 1.0])
    both = log_prior(counts, power=powers)
    for k in range(2):
        torch.testing.assert_close(both[k], log_prior(counts[k], power=float(powers[k])))


def test_it_learns_balanced_logits_from_unequal_rows() -> None:
    """Two classes on one feature that takes two values; the optimum, by descent, is log p(x | c), not log p(c | x)."""
    share = torch.tensor([[0.8, 0.2], [0.3, 0.7]], dtype=torch.float64)  # p(x | c)
    counts = torch.tensor([900.0, 100.0], dtype=torch.float64)
    weight = counts[:, None] * share / counts.sum()  # p(c, x)
    scores = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)  # [x, c]
    fit = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def loss() -> torch.Tensor:
        fit.zero_grad()
        value = -(weight.T * F.log_softmax(scores + log_prior(counts), -1)).sum()
        value.backward()
        return value

    fit.step(loss)
    balanced = share.log().T
    found = (scores[:, 0] - scores[:, 1]).detach()
    torch.testing.assert_close(found, balanced[:, 0] - balanced[:, 1], rtol=0, atol=1e-3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"counts": [1, -1]}, "counts: must be finite numbers of rows, 0 or from 1 up, got -1"),
    ({"counts": np.array([1.0, np.nan])}, "counts: must be finite numbers of rows, 0 or from 1 up, got nan."),
    ({"counts": [0.5, 0.5]}, "counts: must be finite numbers of rows, 0 or from 1 up, got 0.5"),
    ({"counts": torch.tensor(3.0)}, "counts: must be numbers of shape [..., C], got ()."),
    ({"counts": torch.tensor([True])}, "counts: must be numbers of shape [..., C], got (1,)."),
    ({"counts": "many"}, "counts: must be a tensor, or an array or list of numbers, got 'str'."),
    ({"counts": [1, 2], "power": -0.5}, "power: must be a finite number, 0 or more, got -0.5."),
    ({"counts": [1, 2], "power": torch.ones(3)}, "power: must be one number, or one a member of (), got (3,)."),
]


@pytest.mark.parametrize(("given", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_are_no_counts_is_refused_in_one_sentence(given: dict[str, Any], text: str) -> None:
    with pytest.raises(MaskclError, match=re.escape(text)):
        log_prior(**given)
