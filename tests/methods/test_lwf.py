from __future__ import annotations

import math

import pytest
import torch
from by_hand import LN2, LN3, gradient, logs, step
from engine.small import members, spec, train

from maskcl.engine import Population
from maskcl.errors import ConfigError
from maskcl.methods import find

CLASSES = {"seen": torch.tensor([True, True, True]), "current": torch.tensor([False, False, True])}
# old classes 0 and 1: the network says 1/4, 3/4 and said 1/2, 1/2; p(y) = 4/8 over all
STEP = step(logs([1, 3, 4]), [2], 1, teacher=logs([5, 5, 1]), **CLASSES)
KL = (LN2 - LN3) / 2 + LN2 / 2  # 1/2 log(1/2 / 1/4) + 1/2 log(1/2 / 3/4)


def test_one_step_holds_old_classes_to_the_teacher() -> None:
    method = find("lwf")(alpha=2.0, temperature=1.0)
    assert method.loss(STEP).item() == pytest.approx(LN2 + 2 * KL)
    assert gradient(method, STEP)[0].tolist() == pytest.approx([1 / 8 + 2 * (-1 / 4), 3 / 8 + 2 * (1 / 4), -1 / 2])


def test_the_temperature_softens_both_sides() -> None:
    """At T = 2 the numbers are square roots: 1 and 3 of 9 and 1 become 1/4 and 3/4 again."""
    one = step(logs([1, 9, 10]), [2], 1, teacher=logs([25, 25, 1]), **CLASSES)
    assert find("lwf")().loss(one).item() == pytest.approx(LN2 + KL)


def test_matched_old_logits_get_no_gradient_from_the_teacher() -> None:
    one = step(logs([1, 3, 4]), [2], 1, teacher=logs([2, 6, 9]), **CLASSES)
    assert gradient(find("lwf")(alpha=50.0), one)[0].tolist() == pytest.approx([1 / 8, 3 / 8, -1 / 2])


def test_in_the_first_task_it_is_fine_tuning() -> None:
    assert find("lwf")().loss(step(logs([1, 3, 4]), [2], 1)).item() == pytest.approx(LN2)


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"method\.temperature: must be above 0, got 0"):
        find("lwf")(temperature=0)


def softmax(*numbers: float) -> list[float]:
    """A softmax of logits, by math.exp."""
    total = sum(math.exp(z) for z in numbers)
    return [math.exp(z) / total for z in numbers]


def test_a_batch_is_cross_entropy_plus_alpha_times_the_mean_kl_of_old_classes() -> None:
    """Two rows, raw logits, T = 3; all sums written out."""
    logits, teacher = [[0.5, -1.0, 2.0], [1.5, 0.2, -0.7]], [[2.0, 1.0, 9.0], [-1.0, 0.4, -9.0]]
    method = find("lwf")(alpha=0.7, temperature=3.0)
    one = step(torch.tensor(logits).double(), [2, 1], 2, teacher=torch.tensor(teacher).double(), **CLASSES)
    entropy = -(math.log(softmax(*logits[0])[2]) + math.log(softmax(*logits[1])[1])) / 2
    divergence = 0.0
    for says, said in zip(logits, teacher, strict=True):
        p, q = (softmax(z[0] / 3, z[1] / 3) for z in (says, said))
        divergence += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)) / 2
    assert method.loss(one).item() == pytest.approx(entropy + 0.7 * divergence, rel=1e-6)


def test_the_teacher_moves_no_new_class_and_no_class_it_agrees_on() -> None:
    """What distillation adds to the gradient: 0 on the new class, whatever the teacher says; p - q on old ones."""
    for of_new in (1, 4, 1000):
        one = step(logs([1, 3, 4]), [2], 1, teacher=logs([5, 5, of_new]), **CLASSES)
        added = gradient(find("lwf")(temperature=1.0), one) - gradient(find("finetune")(), one)
        assert added[0].tolist() == pytest.approx([1 / 4 - 1 / 2, 3 / 4 - 1 / 2, 0.0])
        assert added[0, 2] == 0
    agreed = step(logs([1, 3, 4]), [2], 1, teacher=logs([1, 3, 1000]), **CLASSES)
    added = gradient(find("lwf")(alpha=50.0, temperature=1.0), agreed) - gradient(find("finetune")(), agreed)
    assert added.abs().max() < 1e-12


def test_with_alpha_0_a_whole_run_is_fine_tuning() -> None:
    found = train(Population([spec("lwf", alpha=0.0)], stacked=False))
    plain = train(Population([spec("finetune")], stacked=False))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name
    other = train(Population([spec("lwf")], stacked=False))
    assert not all(torch.equal(members(other)[0][name], tensor) for name, tensor in members(plain)[0].items())


def test_the_first_task_of_a_run_is_fine_tuning() -> None:
    found, plain = (train(Population([spec(key)], stacked=False), range(1)) for key in ("lwf", "finetune"))
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(found)[0][name], tensor), name


def test_old_classes_are_those_seen_that_are_not_of_the_task() -> None:
    """A fourth class, of no task yet, is in neither softmax, whatever network and teacher say of it."""
    classes = {"seen": torch.tensor([True, True, True, False]), "current": torch.tensor([False, False, True, False])}
    one = step(logs([1, 3, 4, 8]), [2], 1, teacher=logs([5, 5, 1, 99]), **classes)
    assert one.earlier.tolist() == [True, True, False, False]
    assert find("lwf")(temperature=1.0).loss(one).item() == pytest.approx(2 * LN2 + KL)


def test_it_asks_for_the_teacher_on_stream_rows_and_no_memory() -> None:
    assert find("lwf")().needs.teacher == ("stream",)
    assert not find("lwf")().needs.uses_memory
