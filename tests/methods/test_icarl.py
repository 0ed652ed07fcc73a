from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, LN3, LN5, gradient, logs, step
from engine.small import SCENARIO, spec
from reference.plain_memory import herding_row_by_row
from torch import Tensor, nn
from whole_runs import Recorded, Shown, assert_stack_is_loop, record, scores

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig, herding_order
from maskcl.methods import Draw, Outputs, find

# sigmoids of log x are x / (1 + x): 1/2, 3/4, 1/5 and so on
CLASSES = {"seen": torch.tensor([True, True, False]), "current": torch.tensor([False, True, False])}


def test_without_a_teacher_each_class_is_asked_whether_it_is_the_label() -> None:
    """sigmoids 1/2, 3/4, 1/2 and label 1: -log of 1/2, 3/4, 1/2, and their mean over classes."""
    one = step(logs([1, 3, 1]), [1], 1)
    assert find("icarl")().loss(one).item() == pytest.approx((LN2 + (2 * LN2 - LN3) + LN2) / 3)
    assert gradient(find("icarl")(), one)[0].tolist() == pytest.approx([1 / 6, -1 / 12, 1 / 6])


def test_stream_and_memory_rows_have_one_mean() -> None:
    one = step(logs([1, 3, 1], [3, 1, 1], [1 / 4, 1, 1]), [1, 1, 0], 1, 2)
    terms = (LN2 + (2 * LN2 - LN3) + LN2) + (2 * LN2 + LN2 + LN2) + (LN5 + LN2 + LN2)
    assert find("icarl")().loss(one).item() == pytest.approx(terms / 9)


def test_old_classes_are_held_to_the_teachers_sigmoids() -> None:
    """The network says 1/5 of class 0, and said 3/4; classes 1 (the label) and 2 (of the future) are as before."""
    one = step(logs([1 / 4, 3, 1]), [1], 1, teacher=logs([3, 9, 9]), **CLASSES)
    old = 3 / 4 * LN5 + 1 / 4 * (LN5 - 2 * LN2)
    assert find("icarl")().loss(one).item() == pytest.approx((old + (2 * LN2 - LN3) + LN2) / 3)
    assert gradient(find("icarl")(), one)[0].tolist() == pytest.approx([(1 / 5 - 3 / 4) / 3, -1 / 12, 1 / 6])


def test_a_memory_rows_label_is_never_used() -> None:
    """All of it is in the teacher's sigmoids; on new classes its target is 0 whichever old class it is of."""
    classes = {"seen": torch.tensor([True, True, True]), "current": torch.tensor([False, False, True])}
    teacher = logs([3, 1, 9], [1, 3, 9])
    found = [
        find("icarl")().loss(step(logs([1, 1, 1], [3, 1, 3]), [2, old], 1, 1, teacher=teacher, **classes))
        for old in (0, 1)
    ]
    assert found[0].item() == found[1].item()
    stream = (3 / 4 + 1 / 4) * LN2 + LN2 + LN2  # sigmoid 1/2 costs ln 2 whatever the target
    memory = (1 / 2 * (2 * LN2 - LN3) + 1 / 2 * 2 * LN2) + LN2 + 2 * LN2
    assert found[0].item() == pytest.approx((stream + memory) / 6)


def test_matched_sigmoids_of_old_classes_get_no_gradient() -> None:
    one = step(logs([3, 3, 1]), [1], 1, teacher=logs([3, 9, 9]), **CLASSES)
    assert gradient(find("icarl")(), one)[0].tolist() == pytest.approx([0, -1 / 12, 1 / 6])


def test_members_of_a_population_have_their_own_old_classes() -> None:
    one = step(logs([1 / 4, 3, 1]), [1], 1, teacher=logs([3, 9, 9]), **CLASSES)
    other = step(
        logs([1 / 4, 3, 1]), [1], 1, teacher=logs([3, 9, 9]), seen=CLASSES["current"], current=CLASSES["current"]
    )
    names = ("logits", "labels", "teacher")
    both = replace(one, **{name: torch.stack([getattr(one, name), getattr(other, name)]) for name in names},
                   seen=torch.stack([one.seen, other.seen])[:, None], current=one.current)  # fmt: skip
    expected = [find("icarl")().loss(each).item() for each in (one, other)]
    assert find("icarl")().loss(both).tolist() == pytest.approx(expected)


def test_prediction_is_the_nearest_mean_of_the_exemplars_directions() -> None:
    """Class 0 along the first axis, whatever its exemplars' lengths; class 1 between (1, 0) and (0, 1)."""
    features = torch.tensor([[9.0, 0.0], [1.0, 0.0], [5.0, 0.0], [0.0, 0.1]])
    shown = Shown(features, torch.zeros(4, 3), torch.tensor([0, 0, 1, 1]), memory_rows=np.arange(4))
    state = find("icarl")().before_evaluation({}, shown.view)
    half = 0.5**0.5
    torch.testing.assert_close(state["means"], torch.tensor([[1.0, 0.0], [half, half], [0.0, 0.0]]))
    # the mean of class 1 is at 45 degrees; by raw features it would be at 1 degree, and (9, 4) nearer to it
    rows = torch.tensor([[9.0, 3.0], [9.0, 4.0], [0.9, 0.4], [0.0, 7.0]])
    predicted = find("icarl")().predict(Outputs(torch.tensor([[0.0, 0.0, 9.0]]).expand(4, 3), rows), state)
    assert predicted.argmax(-1).tolist() == [0, 1, 1, 1]  # never class 2, which has no exemplar, whatever its logit
    found = predicted[1, 0].item()
    assert found == pytest.approx(
        -float((rows[1] / rows[1].norm() - torch.tensor([1.0, 0.0])).square().sum()), abs=1e-5
    )


def test_before_there_are_exemplars_logits_predict() -> None:
    shown = Shown(torch.zeros(0, 2), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    state = find("icarl")().before_evaluation({}, shown.view)
    rows = Outputs(torch.tensor([[1.0, 3.0, 2.0]]), torch.ones(1, 2))
    assert find("icarl")().predict(rows, state).argmax(-1).tolist() == [1]


def test_herdings_order_of_the_checked_vector() -> None:
    assert herding_order(np.array([[0.0], [4.0], [5.0]]), 3).tolist() == [1, 0, 2]


def test_it_asks_for_exemplars_by_herding_and_a_teacher_of_all_rows() -> None:
    needs = find("icarl")(replay_batch=7).needs
    assert needs.draws == (Draw(7),)
    assert needs.policy == "herding"
    assert needs.teacher == ("stream", "memory")
    assert needs.joint_forward


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"mask": Mask(leak=0.1)}, "mask: must be left out with method 'icarl', which has no softmax: each class has"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("icarl")(**options)


def test_fewer_slots_than_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"memory\.size: must be 6 or more with policy 'herding'"):
        spec("icarl", memory=MemoryConfig(size=5))


def features_of(network: nn.Sequential, inputs: Tensor) -> Tensor:
    """What goes into the last layer."""
    with torch.no_grad():
        return network[:-1](inputs)


@pytest.mark.parametrize("optimizer", [{"lr": 0.5}, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2}], ids=str)
def test_a_whole_run_is_that_of_plain_pytorch(optimizer: dict[str, float]) -> None:
    """Sigmoids, a frozen copy, exemplars by herding at task ends, class means of exemplars: all written out."""
    run = record(spec("icarl", optimizer=optimizer))
    network, teacher, o = run.network(), run.network(), run.spec.optimizer
    sgd = torch.optim.SGD(network.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay)
    exemplars: dict[int, list[int]] = {}
    for task, steps in enumerate(run.steps):
        old = sorted(exemplars)
        held = {row for rows in exemplars.values() for row in rows}
        for one in steps:
            assert len(one.drawn) == (task > 0)
            rows = torch.from_numpy(np.concatenate([one.stream, *one.drawn]))
            assert {int(row) for each in one.drawn for row in each} <= held
            target = F.one_hot(run.labels[rows], 6).double()
            with torch.no_grad():
                target[:, old] = torch.sigmoid(teacher(run.inputs[rows]))[:, old]
            p = torch.sigmoid(network(run.inputs[rows]))
            loss = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        teacher.load_state_dict(network.state_dict())
        classes = SCENARIO.tasks[task]
        quota = 8 // (len(old) + len(classes))
        exemplars = {c: rows[:quota] for c, rows in exemplars.items()}
        for c in classes:
            rows = np.array([row for row in SCENARIO.train_rows[task] if run.labels[row] == c])
            unit = F.normalize(features_of(network, run.inputs[rows]), dim=1).numpy()
            exemplars[c] = rows[herding_row_by_row(unit, quota)].tolist()
        assert run.memories[task].tolist() == [row for c in exemplars for row in exemplars[c]]
    for mine, theirs in zip(run.weights, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-9)
    assert_nearest_means(run, network, exemplars)


def assert_nearest_means(run: Recorded, network: nn.Sequential, exemplars: dict[int, list[int]]) -> None:
    """The run predicts the class whose exemplars' mean direction is nearest, row by row."""
    unit = F.normalize(features_of(network, run.inputs), dim=1)
    means = {c: F.normalize(unit[rows].mean(0), dim=0) for c, rows in exemplars.items()}
    expected = [min(means, key=lambda c, u=u: float((u - means[c]).norm())) for u in unit]
    assert scores(run.population, 0, 2).argmax(-1).tolist() == expected
    assert network(run.inputs).argmax(-1).tolist() != expected


CFGMS = {
    "separate": [Cfgm(step=s, weight=w) for s, w in ((0.5, 1.0), (1.0, 0.5), (2.0, 2.0))],
    "joint": [Cfgm(step=s, update="joint") for s in (0.5, 1.0, 2.0)],
}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "weight_decay": 1e-2}], ids=["sgd", "momentum"])
def test_a_stack_is_its_members_one_by_one(optimizer: dict[str, float]) -> None:
    rates = (0.05, 0.2, 0.5)
    assert_stack_is_loop([spec("icarl", seed=k, optimizer=optimizer | {"lr": rates[k]}) for k in range(3)])


@pytest.mark.parametrize("cfgm", CFGMS)
def test_a_stack_is_its_members_with_cfgm(cfgm: str) -> None:
    assert_stack_is_loop([spec("icarl", seed=k, cfgm=CFGMS[cfgm][k]) for k in range(3)])
