"""Closed forms of the masked softmax family: values and gradients, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskcl.functional import cross_entropy, leaky_logits, masked_cross_entropy, mass_to_value, scale_gradient
from maskcl.functional.prototypes import class_means, nearest_mean

ACTIVE = torch.tensor([False, True, True, False, True])
LABELS = torch.tensor([1, 2, 4, 1])


def _logits() -> Tensor:
    z = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (3 * z).requires_grad_()


def _grad(losses: Tensor, z: Tensor) -> Tensor:
    return torch.autograd.grad(losses.sum(), z)[0]


def _one_hot() -> Tensor:
    return F.one_hot(LABELS, 5).double()


def _sums(z: Tensor) -> tuple[Tensor, Tensor]:
    """S_K and S_O, [B, 1]."""
    e = z.detach().exp()
    return e[:, ACTIVE].sum(1, keepdim=True), e[:, ~ACTIVE].sum(1, keepdim=True)


def test_gradient_of_cross_entropy_is_probability_minus_target_and_sums_to_0() -> None:
    z = _logits()
    grad = _grad(cross_entropy(z, LABELS), z)
    torch.testing.assert_close(grad, z.detach().softmax(1) - _one_hot())
    torch.testing.assert_close(grad.sum(1), torch.zeros(4, dtype=torch.float64))


def test_what_new_classes_gain_as_a_group_old_ones_lose() -> None:
    z = _logits()
    grad = _grad(cross_entropy(z, LABELS), z)
    s_k, s_o = _sums(z)
    pi_o = (s_o / (s_k + s_o))[:, 0]
    torch.testing.assert_close(grad[:, ACTIVE].sum(1), -pi_o)
    torch.testing.assert_close(grad[:, ~ACTIVE].sum(1), pi_o)


@pytest.mark.parametrize("value", [-4.0, 0.0, 2.5])
def test_replaced_logits_stop_the_gradient_and_lift_the_active_group_by_the_share_of_m(value: float) -> None:
    z = _logits()
    losses = masked_cross_entropy(z, LABELS, ACTIVE, value=value)
    grad, (s_k, _) = _grad(losses, z), _sums(z)
    level = 2 * math.exp(value)
    own = z.detach().gather(1, LABELS[:, None])
    torch.testing.assert_close(losses.detach()[:, None], -own + (s_k + level).log())
    torch.testing.assert_close(grad[:, ACTIVE], (z.detach().exp() / (s_k + level) - _one_hot())[:, ACTIVE])
    torch.testing.assert_close(grad.sum(1), -(level / (s_k + level))[:, 0])
    assert (grad[:, ~ACTIVE] == 0).all()


def test_minus_inf_learns_only_differences_among_active_classes() -> None:
    z = _logits()
    losses = masked_cross_entropy(z, LABELS, ACTIVE, value=-math.inf)
    grad = _grad(losses, z)
    torch.testing.assert_close(grad.sum(1), torch.zeros(4, dtype=torch.float64))
    assert (grad[:, ~ACTIVE] == 0).all()
    lifted = masked_cross_entropy(z + 7.0 * ACTIVE, LABELS, ACTIVE, value=-math.inf)
    torch.testing.assert_close(losses, lifted)


def test_no_dial_means_minus_inf() -> None:
    z = _logits()
    assert torch.equal(
        masked_cross_entropy(z, LABELS, ACTIVE), masked_cross_entropy(z, LABELS, ACTIVE, value=-math.inf)
    )


def test_one_active_class_under_minus_inf_teaches_nothing() -> None:
    z, active = _logits(), torch.tensor([False, True, False, False, False])
    losses = masked_cross_entropy(z, torch.full((4,), 1), active, value=-math.inf)
    assert (losses == 0).all()
    assert (_grad(losses, z) == 0).all()


@pytest.mark.parametrize("value", [-5.0, 0.0, 3.0])
def test_m_sets_the_level_at_which_a_single_new_class_is_sure(value: float) -> None:
    share, num_masked = 0.01, 4
    active = torch.tensor([False] * num_masked + [True])
    z = torch.zeros(1, 5, dtype=torch.float64)
    z[0, 4] = value + math.log(num_masked) + math.log((1 - share) / share)
    loss = masked_cross_entropy(z, torch.tensor([4]), active, value=value)
    assert (-loss).exp().item() == pytest.approx(1 - share, rel=1e-12)


def test_mass_is_the_value_at_which_all_inactive_classes_together_weigh_e_to_it() -> None:
    z = _logits()
    of_mass = masked_cross_entropy(z, LABELS, ACTIVE, mass=1.5)
    torch.testing.assert_close(
        of_mass, masked_cross_entropy(z, LABELS, ACTIVE, value=1.5 - math.log(2)), rtol=1e-6, atol=0
    )
    grad, (s_k, _) = _grad(of_mass, z), _sums(z)
    torch.testing.assert_close(grad.sum(1), -(math.exp(1.5) / (s_k + math.exp(1.5)))[:, 0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("num_masked", [1, 3, 97])
def test_mass_does_not_depend_on_the_number_of_masked_classes(num_masked: int) -> None:
    z = torch.cat([torch.tensor([[1.0, -1.0]]), torch.randn(1, num_masked)], 1).double()
    active = torch.arange(2 + num_masked) < 2
    loss = masked_cross_entropy(z, torch.tensor([0]), active, mass=0.7).item()
    assert loss == pytest.approx(-1 + math.log(math.e + math.exp(-1) + math.exp(0.7)), rel=1e-6)


def test_mass_has_no_term_where_nothing_is_masked() -> None:
    z = _logits()
    everything = torch.ones(5, dtype=torch.bool)
    assert torch.equal(masked_cross_entropy(z, LABELS, everything, mass=30.0), cross_entropy(z, LABELS))


def test_mass_counts_visible_classes_alone_and_each_row_its_own() -> None:
    active = torch.tensor([[True, False, False, False], [True, True, True, False]])
    visible = torch.tensor([True, True, True, False])
    levels = mass_to_value(2.0, active, visible)
    assert levels.shape == (2, 1)
    torch.testing.assert_close(levels[0, 0].item(), 2.0 - math.log(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(mass_to_value(2.0, active)[:, 0].tolist(), [2.0 - math.log(3), 2.0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("leak", [0.01, 0.3, 1.0])
def test_leak_weighs_old_classes_in_value_and_gradient_and_the_gradient_still_sums_to_0(leak: float) -> None:
    z = _logits()
    losses = masked_cross_entropy(z, LABELS, ACTIVE, leak=leak)
    grad, (s_k, s_o) = _grad(losses, z), _sums(z)
    own, total = z.detach().gather(1, LABELS[:, None]), s_k + leak * s_o
    weight = torch.where(ACTIVE, 1.0, leak)
    torch.testing.assert_close(losses.detach()[:, None], -own + total.log())
    torch.testing.assert_close(grad, weight * z.detach().exp() / total - _one_hot())
    torch.testing.assert_close(grad.sum(1), torch.zeros(4, dtype=torch.float64))


def test_leak_0_is_minus_inf_and_leak_1_is_cross_entropy() -> None:
    z = _logits()
    torch.testing.assert_close(
        masked_cross_entropy(z, LABELS, ACTIVE, leak=0.0), masked_cross_entropy(z, LABELS, ACTIVE, value=-math.inf)
    )
    assert torch.equal(masked_cross_entropy(z, LABELS, ACTIVE, leak=1.0), F.cross_entropy(z, LABELS, reduction="none"))
    assert torch.equal(leaky_logits(z, ACTIVE, leak=1.0), z)


@pytest.mark.parametrize("dial", [{"value": -1.0}, {"mass": 0.5}, {"leak": 0.2}, {"leak": 1.0}])
def test_gradient_scales_leave_values_and_multiply_gradients(dial: dict[str, Any]) -> None:
    z = _logits()
    plain, scaled = (
        masked_cross_entropy(z, LABELS, ACTIVE, **dial, **scales)
        for scales in ({}, {"old_scale": 0.25, "new_scale": 3.0})
    )
    assert torch.equal(plain, scaled)
    torch.testing.assert_close(_grad(scaled, z), _grad(plain, z) * torch.where(ACTIVE, 3.0, 0.25))


def test_scale_gradient_0_stops_it_and_1_does_nothing() -> None:
    z = _logits()
    assert torch.equal(scale_gradient(z, 0.3), z)
    assert (_grad(scale_gradient(z, 0.0), z) == 0).all()
    assert (_grad(scale_gradient(z, 1.0), z) == 1).all()


def test_stop_gradient_without_replacement_lifts_new_classes_by_the_share_of_old_ones() -> None:
    z = _logits()
    grad = _grad(masked_cross_entropy(z, LABELS, ACTIVE, leak=1.0, old_scale=0.0), z)
    s_k, s_o = _sums(z)
    assert (grad[:, ~ACTIVE] == 0).all()
    torch.testing.assert_close(grad.sum(1), -(s_o / (s_k + s_o))[:, 0])


def test_invisible_classes_are_out_of_value_and_gradient() -> None:
    z = _logits()
    visible = torch.tensor([True, True, True, False, True])
    losses = masked_cross_entropy(z, LABELS, ACTIVE, leak=0.2, visible=visible)
    torch.testing.assert_close(
        losses, masked_cross_entropy(z[:, visible], LABELS.clamp(max=3), ACTIVE[visible], leak=0.2)
    )
    assert (_grad(losses, z)[:, 3] == 0).all()


FORMS: list[dict[str, Any]] = [
    {"value": -math.inf}, {"value": -2.0}, {"mass": 1.0}, {"leak": 0.0}, {"leak": 0.1}, {"leak": 1.0},
    {"leak": 0.3, "visible": torch.tensor([True, True, True, False, True])},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_gradients_are_those_of_finite_differences(form: dict[str, Any]) -> None:
    assert torch.autograd.gradcheck(lambda z: masked_cross_entropy(z, LABELS, ACTIVE, **form), _logits())


# z = [2, 1, 0], O = {0}, K = {1, 2}, y = 1: computed by hand in float64, four digits
CHECKED: list[tuple[dict[str, Any], float, list[float]]] = [
    ({"leak": 1.0}, 1.4076, [0.6652, -0.7553, 0.0900]),
    ({"value": -math.inf}, 0.3133, [0.0, -0.2689, 0.2689]),
    ({"leak": 1.0, "old_scale": 0.0}, 1.4076, [0.0, -0.7553, 0.0900]),
    ({"leak": 0.1}, 0.4945, [0.1658, -0.3901, 0.2244]),
]


@pytest.mark.parametrize(("form", "loss", "gradient"), CHECKED)
def test_checked_vectors(form: dict[str, Any], loss: float, gradient: list[float]) -> None:
    z = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    losses = masked_cross_entropy(z, torch.tensor([1]), torch.tensor([False, True, True]), **form)
    assert losses.item() == pytest.approx(loss, abs=5e-5)
    assert _grad(losses, z)[0].tolist() == pytest.approx(gradient, abs=5e-5)


def test_checked_vector_splits_into_new_against_old_and_within_new() -> None:
    z, labels, active = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]), torch.tensor([False, True, True])
    whole, within = cross_entropy(z, labels).item(), masked_cross_entropy(z, labels, active).item()
    assert whole - within == pytest.approx(1.0943, abs=1e-4)


def test_class_means_are_of_rows_scaled_to_length_1_and_are_so_themselves() -> None:
    features = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 5.0, 0.0]])
    means = class_means(features, torch.tensor([2, 2, 0]), 4)
    half = math.sqrt(0.5)
    expected = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [half, 0.0, half], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(means, expected)


def test_scores_of_means_are_minus_squared_distances_whatever_leads_and_a_class_without_rows_is_below_all() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 3, generator=generator)
    means = F.normalize(torch.randn(2, 4, 3, generator=generator), dim=-1)
    means[0, 1], means[1, 3] = 0.0, 0.0
    scores = nearest_mean(features, means)
    for member in range(2):
        for row in range(5):
            unit = features[member, row] / features[member, row].norm()
            for c in range(4):
                known = bool(means[member, c].any())
                expected = -(unit - means[member, c]).square().sum() if known else torch.tensor(-1e9)
                torch.testing.assert_close(scores[member, row, c], expected)


def test_the_level_of_a_mask_for_all_rows_is_one_row() -> None:
    assert mass_to_value(1.0, ACTIVE).shape == (1, 1)
