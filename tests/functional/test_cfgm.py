"""CFGM against its closed form, and what it must leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskcl.errors import ConfigError, DataError, ShapeError
from maskcl.functional import cfgm, cross_entropy


@pytest.fixture
def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def rows(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 6, generator=generator, dtype=torch.float64), torch.arange(count) % 4


def test_linear_classifier_moves_towards_the_class_row_and_away_from_the_mean_row() -> None:
    linear = nn.Linear(6, 4).double()
    inputs, labels = rows()
    p = linear(inputs).softmax(-1)
    expected = inputs + 0.7 * (linear.weight[labels] - p @ linear.weight)
    torch.testing.assert_close(cfgm(linear, inputs, labels, step=0.7), expected.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["raw", "l2", "sign"])
def test_a_small_step_raises_the_probability_of_the_class(mlp: nn.Module, norm: str) -> None:
    inputs, labels = rows()
    made = cfgm(mlp, inputs, labels, step=1e-3, norm=norm)
    assert (cross_entropy(mlp(made), labels) < cross_entropy(mlp(inputs), labels)).all()


def test_gradient_of_the_batch_mean_with_step_20_is_a_row_step_of_20_over_batch_size(mlp: nn.Module) -> None:
    inputs, labels = rows()
    leaf = inputs.clone().requires_grad_()
    cross_entropy(mlp(leaf), labels).mean().backward()
    torch.testing.assert_close(cfgm(mlp, inputs, labels, step=20 / 5), inputs - 20 * leaf.grad)


def test_a_row_does_not_depend_on_its_batch_even_with_batch_norm() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)).double()
    network(rows(20)[0])
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    inputs, labels = rows()
    whole = cfgm(network, inputs, labels, step=1.0)
    alone = torch.cat([cfgm(network, inputs[i : i + 1], labels[i : i + 1], step=1.0) for i in range(len(inputs))])
    torch.testing.assert_close(whole, alone)
    assert network.training
    assert all(part.training for part in network.modules())
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, before[name])


def test_leaves_no_graph_and_no_gradient_on_parameters(mlp: nn.Module) -> None:
    marks = [torch.full_like(p, 3.0) for p in mlp.parameters()]
    for p, mark in zip(mlp.parameters(), marks, strict=True):
        p.grad = mark.clone()
    inputs, labels = rows()
    made = cfgm(mlp, inputs, labels, step=1.0, num_steps=3)
    assert not made.requires_grad
    assert not inputs.requires_grad
    assert all(torch.equal(p.grad, mark) for p, mark in zip(mlp.parameters(), marks, strict=True))


def test_several_steps_are_one_step_repeated_and_bounds_hold_after_each(mlp: nn.Module) -> None:
    inputs, labels = rows()
    expected = inputs
    for _ in range(3):
        expected = cfgm(mlp, expected, labels, step=5.0, bounds=(0.0, 1.0))
    made = cfgm(mlp, inputs, labels, step=5.0, num_steps=3, bounds=(0.0, 1.0))
    torch.testing.assert_close(made, expected)
    assert made.min() >= 0
    assert made.max() <= 1
    assert cfgm(mlp, inputs, labels, step=5.0, num_steps=3).min() < 0


def test_l2_steps_have_the_length_asked_for_and_sign_steps_its_largest_entry(mlp: nn.Module) -> None:
    inputs, labels = rows()
    moved = cfgm(mlp, inputs, labels, step=0.3, norm="l2") - inputs
    torch.testing.assert_close(moved.norm(dim=-1), torch.full((5,), 0.3, dtype=torch.float64))
    moved = cfgm(mlp, inputs, labels, step=0.3, norm="sign") - inputs
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.3))


def test_leading_dimensions_and_steps_of_members_equal_a_loop(mlp: nn.Module) -> None:
    inputs = torch.rand(3, 5, 6, dtype=torch.float64)
    labels, steps = torch.randint(4, (3, 5)), torch.tensor([0.1, 1.0, 4.0])
    whole = cfgm(mlp, inputs, labels, step=steps)
    for k in range(3):
        torch.testing.assert_close(
            whole[k], cfgm(mlp, inputs[k], labels[k], step=float(steps[k])), rtol=1e-6, atol=1e-7
        )


def test_works_inside_vmap(mlp: nn.Module) -> None:
    inputs, labels = torch.rand(3, 5, 6, dtype=torch.float64), torch.randint(4, (3, 5))
    mapped = torch.func.vmap(lambda x, y: cfgm(mlp, x, y, step=1.0))(inputs, labels)
    torch.testing.assert_close(mapped, cfgm(mlp, inputs, labels, step=1.0))


def test_works_under_autocast() -> None:
    network = nn.Linear(6, 4)
    inputs, labels = rows()
    inputs = inputs.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = cfgm(network, inputs, labels, step=1.0)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, cfgm(network, inputs, labels, step=1.0), rtol=0, atol=0.02)


def test_step_0_changes_nothing(mlp: nn.Module) -> None:
    inputs, labels = rows()
    assert torch.equal(cfgm(mlp, inputs, labels, step=0.0), inputs)


def test_refuses_integer_images_and_labels_that_do_not_fit(mlp: nn.Module) -> None:
    with pytest.raises(ShapeError, match="floating point"):
        cfgm(mlp, torch.zeros(2, 6, dtype=torch.uint8), torch.tensor([0, 1]), step=1.0)
    with pytest.raises(ShapeError, match="labels"):
        cfgm(mlp, torch.zeros(2, 6), torch.tensor([0, 1, 2]), step=1.0)
    with pytest.raises(ShapeError, match="norm"):
        cfgm(mlp, torch.zeros(2, 6), torch.tensor([0, 1]), step=1.0, norm="l1")


def test_works_in_inference_mode_on_rows_made_there_too(mlp: nn.Module) -> None:
    inputs, labels = rows()
    expected = cfgm(mlp, inputs, labels, step=1.0, num_steps=2, visible=torch.tensor([True] * 4))
    with torch.inference_mode():
        assert torch.equal(cfgm(mlp, inputs, labels, step=1.0, num_steps=2), expected)
        made_there, visible = inputs.clone(), torch.tensor([True] * 4)
        assert made_there.is_inference()
        made = cfgm(mlp, made_there, labels.clone(), step=1.0, num_steps=2, visible=visible)
    assert torch.equal(made, expected)
    assert torch.equal(cfgm(mlp, made_there, labels, step=1.0, num_steps=2), expected)
    assert not torch.is_inference_mode_enabled()


def test_a_network_made_in_inference_mode_is_refused_in_words() -> None:
    with torch.inference_mode():
        network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).double()
    with pytest.raises(ConfigError, match=r"cfgm: forward: must not hold tensors made in torch.inference_mode"):
        cfgm(network, *rows(), step=1.0)


def test_labels_may_be_a_list(mlp: nn.Module) -> None:
    inputs, labels = rows()
    assert torch.equal(cfgm(mlp, inputs, labels.tolist(), step=1.0), cfgm(mlp, inputs, labels, step=1.0))


def test_values_that_make_no_sense_are_refused(mlp: nn.Module) -> None:
    inputs, labels = rows()
    with pytest.raises(DataError, match="cfgm: labels: must be classes from 0 to 3, got -100"):
        cfgm(mlp, inputs, torch.full((5,), -100), step=1.0)
    with pytest.raises(ConfigError, match="cfgm: step: must be a finite number, 0 or more, got -1"):
        cfgm(mlp, inputs, labels, step=-1.0)
    with pytest.raises(ConfigError, match="cfgm: num_steps: must be a whole number, 1 or more, got 0"):
        cfgm(mlp, inputs, labels, step=1.0, num_steps=0)
    with pytest.raises(ShapeError, match="cfgm: inputs: must be a tensor, got 'list'"):
        cfgm(mlp, inputs.tolist(), labels, step=1.0)  # type: ignore[arg-type]
