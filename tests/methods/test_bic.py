from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import LN2, LN3, LN5, LN7, active, gradient, logs, step
from engine.small import SCENARIO, spec, train
from scipy.optimize import minimize
from torch import Tensor
from whole_runs import Shown, assert_stack_is_loop, record, scores

from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.engine.member import held_out
from maskcl.engine.table import Table
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Draw, Outputs, find

# classes 0 and 1 are old, 2 is new, 3 is of the future
CLASSES = {"seen": torch.tensor([True, True, True, False]), "current": torch.tensor([False, False, True, False])}


def correction(factor: float, shift: float, *corrected: bool) -> dict[str, Tensor]:
    """A state as one run has it."""
    numbers = {"factor": torch.tensor(factor).double(), "shift": torch.tensor(shift).double()}
    return numbers | {"corrected": torch.tensor(corrected)}


NONE = correction(1.0, 0.0, False, False, False, False)


def test_prediction_corrects_the_newest_classes_alone() -> None:
    outputs = Outputs(torch.tensor([[1.0, 3.0]]).double())
    assert find("bic")().predict(outputs, correction(0.5, -0.5, False, True)).tolist() == [[1.0, 1.0]]
    assert find("bic")().predict(outputs, correction(0.5, -0.5, True, False)).tolist() == [[0.0, 3.0]]
    assert find("bic")().predict(outputs, NONE | {"corrected": torch.tensor([False, False])}).tolist() == [[1.0, 3.0]]


def test_a_positive_factor_keeps_the_order_among_new_classes_and_among_old_ones() -> None:
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = correction(0.3, -2.0, False, False, False, True, True, True)
    found = find("bic")().predict(Outputs(logits), state)
    for classes in (slice(0, 3), slice(3, 6)):
        assert torch.equal(found[:, classes].argsort(-1), logits[:, classes].argsort(-1))
    assert not torch.equal(found.argmax(-1), logits.argmax(-1))


def test_each_member_has_its_own_correction() -> None:
    states = [correction(0.5, -0.5, False, True), correction(2.0, 1.0, True, False)]
    both = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    found = find("bic")().predict(Outputs(torch.tensor([[[1.0, 3.0]], [[1.0, 3.0]]]).double()), both)
    assert found.tolist() == [[[1.0, 1.0]], [[3.0, 3.0]]]


def test_in_the_first_task_it_is_cross_entropy_over_the_classes_seen() -> None:
    """p(y) = 2 / (1 + 1 + 2): class 3, of the future, is not in the softmax."""
    one = step(logs([1, 1, 2, 4]), [2], 1, seen=CLASSES["seen"], current=CLASSES["seen"], state=NONE)
    assert find("bic")().loss(one).item() == pytest.approx(LN2)
    assert gradient(find("bic")(), one)[0].tolist() == pytest.approx([1 / 4, 1 / 4, -1 / 2, 0])


def test_stage_1_weighs_distillation_by_the_share_of_old_classes() -> None:
    """Two of three classes are old. p(y) = 1/2; old classes: says 1/4, 3/4, said 1/2, 1/2."""
    one = step(logs([1, 3, 4, 9]), [2], 1, teacher=logs([5, 5, 7, 7]), state=NONE, **CLASSES)
    divergence = (LN2 - LN3) / 2 + LN2 / 2
    method = find("bic")(temperature=1.0)
    assert method.loss(one).item() == pytest.approx(1 / 3 * LN2 + 2 / 3 * divergence)
    expected = [1 / 3 / 8 - 2 / 3 / 4, 3 / 3 / 8 + 2 / 3 / 4, -1 / 3 / 2, 0]
    assert gradient(method, one)[0].tolist() == pytest.approx(expected)


def test_the_temperature_softens_both_sides_without_the_factor_of_its_square() -> None:
    """At T = 2 the numbers are square roots: 1, 9 and 25, 25 are 1/4, 3/4 and 1/2, 1/2 again."""
    one = step(logs([1, 9, 10, 1]), [2], 1, teacher=logs([25, 25, 7, 7]), state=NONE, **CLASSES)
    divergence = (LN2 - LN3) / 2 + LN2 / 2
    assert find("bic")().loss(one).item() == pytest.approx(1 / 3 * LN2 + 2 / 3 * divergence)


def test_all_rows_are_taught_and_the_mean_is_over_all_of_them() -> None:
    one = step(
        logs([1, 3, 4, 1], [1, 1, 2, 1]), [2, 0], 1, 1, teacher=logs([5, 5, 1, 1], [3, 1, 1, 1]), state=NONE, **CLASSES
    )
    first, second = (LN2 - LN3) / 2 + LN2 / 2, 3 / 4 * (LN3 - LN2) + 1 / 4 * (-LN2)
    expected = 1 / 3 * (LN2 + 2 * LN2) / 2 + 2 / 3 * (first + second) / 2
    assert find("bic")(temperature=1.0).loss(one).item() == pytest.approx(expected)


def test_the_teacher_is_the_corrected_network() -> None:
    """The last task's class 1 is corrected to z - log 3: the teacher says 5 and 15 / 3."""
    one = step(logs([1, 3, 4, 9]), [2], 1, teacher=logs([5, 15, 7, 7]), **CLASSES)
    corrected = replace(one, state=correction(1.0, -LN3, False, True, False, False))
    plain = replace(one, teacher=logs([5, 5, 7, 7]), state=NONE)
    assert find("bic")().loss(corrected).item() == pytest.approx(find("bic")().loss(plain).item())
    squared = replace(one, teacher=logs([25, 5, 7, 7]), state=correction(2.0, 0.0, False, True, False, False))
    alike = replace(one, teacher=logs([25, 25, 7, 7]), state=NONE)
    assert find("bic")().loss(squared).item() == pytest.approx(find("bic")().loss(alike).item())


def test_a_mask_acts_on_the_cross_entropy_of_stream_rows() -> None:
    """Old classes out of the stream row's softmax: nothing is left of it; the memory row sees the classes seen."""
    rows = logs([1, 3, 4, 9], [2, 3, 2, 9])
    one = step(rows, [2, 0], 1, 1, active=active([0, 0, 1, 0], [1, 1, 1, 1]), teacher=rows, state=NONE, **CLASSES)
    memory = LN7 - LN2
    method = find("bic")(mask=Mask(value=-math.inf), temperature=1.0)
    assert method.loss(one).item() == pytest.approx(1 / 3 * (0 + memory) / 2)
    leaky = find("bic")(mask=Mask(leak=1 / 4), temperature=1.0)  # (1 + 3) / 4 + 4 = 5
    assert leaky.loss(one).item() == pytest.approx(1 / 3 * (LN5 - 2 * LN2 + memory) / 2)


def test_members_have_their_own_share_of_old_classes_and_temperature() -> None:
    shares = [CLASSES, {"seen": torch.tensor([True] * 4), "current": torch.tensor([False, False, True, True])}]
    ones = [step(logs([1, 3, 4, 9]), [2], 1, teacher=logs([5, 2, 7, 7]), state=NONE, **own) for own in shares]
    expected = [find("bic")(temperature=t).loss(one).item() for t, one in zip((1.0, 3.0), ones, strict=True)]
    names = ("logits", "labels", "teacher", "seen", "current")
    found = {name: torch.stack([getattr(one, name) for one in ones]) for name in names}
    found |= {name: found[name][:, None] for name in ("seen", "current")}
    method = find("bic")()
    object.__setattr__(method, "temperature", torch.tensor([1.0, 3.0]).double())  # as in a population
    both = step(
        found.pop("logits"),
        [],
        1,
        state={name: torch.stack([t, t]) for name, t in NONE.items()},
        **{n: t for n, t in found.items() if n != "labels"},
    )
    assert method.loss(replace(both, labels=found["labels"])).tolist() == pytest.approx(expected)


def held_out_rows(num_new: int, *, num_rows: int = 24) -> Shown:
    """A view with logits that favour the last `num_new` of four classes, as many held-out rows of each class."""
    rng = torch.Generator().manual_seed(num_new)
    labels = torch.arange(num_rows) % 4
    logits = torch.randn(num_rows, 6, generator=rng, dtype=torch.float64) + 2.0 * F.one_hot(labels, 6)
    logits[:, 4 - num_new : 4] += 3.0
    logits[:, 4:] += 9.0  # of the future: must not be looked at
    tasks = (tuple(range(4 - num_new)), tuple(range(4 - num_new, 4)))
    rows = np.arange(num_rows)
    return Shown(torch.zeros(num_rows, 1), logits, labels, held_out_rows=rows, tasks=tasks)


def stage_2_loss(shown: Shown, factor: Tensor, shift: Tensor) -> Tensor:
    """Cross-entropy over the classes seen of a z + b on new classes, + b^2 / 20."""
    new, total = shown.tasks[-1], torch.zeros((), dtype=torch.float64)
    for z, y in zip(shown.logits, shown.classes.tolist(), strict=True):
        corrected = torch.stack([factor * z[c] + shift if c in new else z[c] for c in range(4)])
        total = total + corrected.logsumexp(0) - corrected[y]
    return total / len(shown.logits) + shift**2 / 20


@pytest.mark.parametrize("num_new", [1, 2])
def test_stage_2_fits_the_two_numbers_that_minimise_its_loss(num_new: int) -> None:
    shown = held_out_rows(num_new)
    before = correction(7.0, 7.0, True, False, False, False, False, False)
    after = find("bic")().end_task(before, shown.view)
    assert after["corrected"].tolist() == [c in shown.tasks[-1] for c in range(6)]
    numbers = [after[name].clone().requires_grad_() for name in ("factor", "shift")]
    loss = stage_2_loss(shown, *numbers)
    slope = torch.autograd.grad(loss, numbers)
    assert max(abs(float(g)) for g in slope) < 1e-4
    assert loss.item() < stage_2_loss(shown, torch.tensor(1.0), torch.tensor(0.0)).item() - 0.1
    assert after["shift"].item() < -0.3  # what the new classes had too much of
    assert not any(tensor.requires_grad for tensor in after.values())


def test_stage_2_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        after = find("bic")().end_task(correction(1.0, 0.0, *[False] * 6), held_out_rows(2).view)
    assert after["shift"].item() < -0.5


def test_the_first_task_is_not_corrected() -> None:
    shown = Shown(torch.zeros(2, 1), torch.zeros(2, 4), torch.tensor([0, 1]), tasks=((0, 1),))
    assert find("bic")().end_task(NONE, shown.view) is NONE


def test_it_asks_for_exemplars_a_teacher_of_all_rows_and_a_hold_out() -> None:
    needs = find("bic")(replay_batch=7, held_out=0.2).needs
    assert needs.draws == (Draw(7),)
    assert needs.policy == "herding"
    assert needs.teacher == ("stream", "memory")
    assert needs.held_out == 0.2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"replay_batch": 0}, "method.replay_batch: must be a whole number, 1 or more, got 0"),
        ({"temperature": 0}, "method.temperature: must be above 0, got 0"),
        ({"held_out": 0}, r"method.held_out: must be above 0 and at most \.5, got 0"),
        ({"held_out": 0.6}, r"method.held_out: must be above 0 and at most \.5, got 0.6"),
        ({"held_out": "much"}, r"method.held_out: must be above 0 and at most \.5, got 'much'"),
    ],
)
def test_bad_settings_are_refused_by_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find("bic")(**options)


def bic(**options: Any) -> Any:
    """A run with 20 slots, of which 6 are set aside, and 4 of 13 rows of each class held out."""
    return spec("bic", memory=MemoryConfig(size=20), **({"held_out": 0.3} | options))


@pytest.mark.parametrize(
    "options", [{}, {"mask": Mask(value=-math.inf)}, {"optimizer": {"lr": 0.05, "momentum": 0.9}}], ids=str
)
def test_a_whole_run_is_that_of_plain_pytorch(options: dict[str, Any]) -> None:
    """Both stages written out; the correction is found without gradients."""
    run = record(bic(**options))
    network, teacher, o = run.network(), run.network(), run.spec.optimizer
    sgd = torch.optim.SGD(network.parameters(), o.lr, o.momentum)
    factor, shift, corrected = torch.tensor(1.0).double(), torch.tensor(0.0).double(), []
    for task, steps in enumerate(run.steps):
        old, new = [c for classes in SCENARIO.tasks[:task] for c in classes], list(SCENARIO.tasks[task])
        for one in steps:
            assert len(one.drawn) == (task > 0)
            rows = np.concatenate([one.stream, *one.drawn])
            z, y = network(run.inputs[rows]), run.labels[rows]
            entropy = []
            for i, row in enumerate(z):
                keep = new if run.spec.method.mask and i < len(one.stream) else old + new
                entropy.append(F.cross_entropy(row[keep][None], torch.tensor([keep.index(int(y[i]))])))
            loss = torch.stack(entropy).mean()
            if old:
                with torch.no_grad():
                    said = _corrected(teacher(run.inputs[rows]), factor, shift, corrected)[:, old]
                p, q = ((t / 2).softmax(1) for t in (z[:, old], said))
                share = len(old) / (len(old) + len(new))
                loss = (1 - share) * loss + share * (q * (q.log() - p.log())).sum(1).mean()
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        teacher.load_state_dict(network.state_dict())
        if task > 0:
            corrected = new
            held = _held(run.spec, task, 6)
            with torch.no_grad():
                z, y = network(run.inputs[held]), run.labels[held]

            def fitted(numbers: np.ndarray, z: Tensor = z, y: Tensor = y, old: list = old, new: list = new) -> float:
                factor, shift = torch.from_numpy(numbers)
                return float(F.cross_entropy(_corrected(z, factor, shift, new)[:, old + new], y) + shift**2 / 20)

            tight = {"xatol": 1e-7, "fatol": 1e-12}
            factor, shift = torch.from_numpy(minimize(fitted, [1.0, 0.0], method="Nelder-Mead", options=tight).x)
    for mine, theirs in zip(run.weights, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=2e-4)
    state = run.population.own_state(0)
    assert state["factor"].item() == pytest.approx(factor.item(), abs=2e-3)
    assert state["shift"].item() == pytest.approx(shift.item(), abs=2e-3)
    expected = _corrected(network(run.inputs), factor, shift, corrected).detach()
    torch.testing.assert_close(scores(run.population, 0, 2), expected, rtol=0, atol=2e-2)


def _corrected(z: Tensor, factor: Tensor, shift: Tensor, classes: list[int]) -> Tensor:
    return torch.stack([factor * z[:, c] + shift if c in classes else z[:, c] for c in range(z.shape[1])], 1)


def _held(one: Any, task: int, slots: int) -> np.ndarray:
    """As many held-out rows of each class so far as the slots set aside allow."""
    of_class = [rows for t in range(task + 1) for rows in held_out(one, t).values()]
    return np.concatenate([rows[: max(1, slots // len(of_class))] for rows in of_class])


def test_held_out_rows_are_a_share_of_each_class_and_a_prefix_is_kept_for_stage_2() -> None:
    population = train(Population([bic()], stacked=False), range(2))
    for task, classes in enumerate(SCENARIO.tasks):
        out = held_out(population.specs[0], task)
        assert set(out) == set(classes)
        for c, rows in out.items():
            assert len(set(rows.tolist())) == round(0.3 * 13)
            assert set(population.data.labels[rows]) == {c}
    first, second = (population.view(0, task).held_out_rows for task in (0, 1))
    labels = [np.bincount(population.data.labels[rows], minlength=6).tolist() for rows in (first, second)]
    assert labels == [[3, 3, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]]  # 6 slots for 2 classes, then for 4
    assert set(second[:2]) <= set(first)


def test_held_out_rows_are_never_trained_on_and_never_in_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: set[int] = set()
    batch = Table.batch

    def noting(table: Any, rows: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        gathered.update(rows.tolist())
        return batch(table, rows, *args, **kwargs)

    monkeypatch.setattr(Table, "batch", noting)
    for stacked in (False, True):
        for policy in ("herding", "reservoir"):
            gathered.clear()
            one = spec("bic", memory=MemoryConfig(size=20, policy=policy), held_out=0.3)
            population = Population([one], stacked=stacked)
            out = {int(row) for task in range(3) for rows in held_out(one, task).values() for row in rows}
            everything = {int(row) for rows in SCENARIO.train_rows for row in rows}
            for task in range(3):
                train(population, range(task, task + 1))
                memory = population.state.memories[0]
                assert memory is not None
                assert len(memory.rows) == 20 - 6
                assert not out & set(memory.rows.tolist())
                assert not out & set(population.view(0, task).task_rows.tolist())
            assert gathered == everything - out


CFGMS = {
    "separate": [Cfgm(step=s, weight=w) for s, w in ((0.5, 1.0), (1.0, 0.5), (2.0, 2.0))],
    "joint": [Cfgm(step=s, update="joint") for s in (0.5, 1.0, 2.0)],
}
MASKS = {"none": [None] * 3, "leak": [Mask(leak=w) for w in (0.01, 0.1, 0.5)], "minus inf": [Mask(value=-math.inf)] * 3}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "weight_decay": 1e-2}], ids=["sgd", "momentum"])
@pytest.mark.parametrize("mask", MASKS)
def test_a_stack_is_its_members_one_by_one(mask: str, optimizer: dict[str, float]) -> None:
    rates = (0.02, 0.05, 0.1)
    specs = [
        bic(seed=k, mask=MASKS[mask][k], temperature=1.0 + k, optimizer=optimizer | {"lr": rates[k]}) for k in range(3)
    ]
    stacked = assert_stack_is_loop(specs)
    assert len(set(stacked.state.method["shift"].tolist())) == 3


@pytest.mark.parametrize("cfgm", CFGMS)
def test_a_stack_is_its_members_with_cfgm(cfgm: str) -> None:
    assert_stack_is_loop([bic(seed=k, cfgm=CFGMS[cfgm][k], mask=Mask(leak=0.1)) for k in range(3)])
