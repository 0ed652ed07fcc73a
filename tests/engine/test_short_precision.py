"""Products in fewer bits, weights laid out channels last, a compiled pass: what changes, and what must not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.small import members, scenario, spec, train
from torch.utils._python_dispatch import TorchDispatchMode

from maskcl.engine import Population, run_population
from maskcl.engine.build import build_parts
from maskcl.engine.precision import GROW_AFTER, LEAST, START, LossScale, Precision, gradient
from maskcl.errors import ConfigError
from maskcl.methods import REGISTRY
from maskcl.networks import ConvNet, ResNet18
from maskcl.view import Outputs

SHORT = ("bfloat16", "float16")
IMAGES = scenario(3, shape=(3, 8, 8))
CPU = torch.device("cpu")


class Products(TorchDispatchMode):
    """Notes the types that matrices are multiplied and images convolved in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm", "convolution"):
            self.found |= {a.dtype for a in args if isinstance(a, torch.Tensor)}
        return func(*args, **(kwargs or {}))


def whole(method: str, precision: str, *, stacked: bool, network: Any = None, **options: Any) -> Population:
    tasks = None if network is None else IMAGES
    training = {"dtype": "float32", "precision": precision}
    count = 2 if stacked else 1
    specs = [spec(method, seed=k, tasks=tasks, network=network, training=training, **options) for k in range(count)]
    return train(Population(specs, stacked=stacked))


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("network", [None, ConvNet(hidden=(4,))], ids=["mlp", "convnet"])
def test_products_of_a_step_are_short_and_all_that_is_kept_is_float32(network: Any, stacked: bool) -> None:
    for precision in SHORT:
        population = Population(
            [spec("derpp", tasks=IMAGES if network else None, network=network,
                  training={"dtype": "float32", "precision": precision})],
            stacked=stacked,
        )  # fmt: skip
        with Products() as products:
            population.fit_task(0)
        assert getattr(torch, precision) in products.found
        kept = [t for t in members(population)[0].values() if t.is_floating_point()]
        assert {t.dtype for t in [*kept, population.state.stored]} == {torch.float32}
        with Products() as products:
            population.evaluate(0)
        assert products.found == {torch.float32}, "two logits that differ in the ninth bit would be a tie"


@pytest.mark.parametrize(("precision", "stacked"), [("bfloat16", False), ("float16", True)])
@pytest.mark.parametrize("method", REGISTRY)
def test_every_method_trains_in_it_and_stays_near_float32(method: str, precision: str, stacked: bool) -> None:
    optimizer = {"lr": 0.02}
    short, full = (whole(method, p, stacked=stacked, optimizer=optimizer) for p in (precision, "float32"))
    assert all(short.finite())
    moved = False
    for name, tensor in members(full)[0].items():
        if name.startswith(("0", "2", "4")) or "weight" in name:
            torch.testing.assert_close(members(short)[0][name], tensor, rtol=0.05, atol=0.05)
            moved |= not torch.equal(members(short)[0][name], tensor)
    assert moved, "shorter products have other bits"


def test_a_stack_stays_near_the_loop() -> None:
    for precision in SHORT:
        stack = whole("er", precision, stacked=True)
        alone = whole("er", precision, stacked=False)
        for name, tensor in members(alone)[0].items():
            torch.testing.assert_close(members(stack)[0][name], tensor, rtol=0.02, atol=0.02)


def test_float32_is_no_autocast_and_no_scale() -> None:
    seen = []

    def forward(x: torch.Tensor) -> Outputs:
        seen.append(torch.is_autocast_enabled("cpu"))
        return Outputs(x)

    for name, expected in (("float32", False), ("bfloat16", True), ("float16", True)):
        precision = Precision(name, CPU)
        out = precision(forward, torch.zeros(1, 2, dtype=torch.bfloat16)).logits
        assert seen.pop() is expected
        assert out.dtype == (torch.float32 if expected else torch.bfloat16)
        assert precision.needs_scale == (name == "float16")


@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_scale_leaves_the_gradient_as_it_is(leading: tuple[int, ...]) -> None:
    weight = torch.rand(*leading, 4, 2, requires_grad=True)
    loss = weight.square().sum((-1, -2))
    scaled = gradient(loss, [weight], keep=True, scale=LossScale(LossScale.start(leading)))
    assert torch.equal(scaled[0], gradient(loss, [weight])[0])  # a power of two


def test_an_overflow_leaves_out_the_step_of_its_member_alone_and_halves_its_scale() -> None:
    state = LossScale.start((3,))
    scale, weight, momentum = LossScale(state), torch.ones(3, 2), torch.zeros(3, 2)
    param = torch.ones(3, 2, requires_grad=True)
    with torch.no_grad():
        factor = torch.tensor([1.0, 1e38, 2.0])  # times the scale of 65,536 it is infinite
    grads = gradient((param.sum(1) * factor), [param], scale=scale)
    assert grads[0].tolist() == [[1, 1], [0, 0], [2, 2]]

    def move() -> None:
        momentum.mul_(0.9).add_(1.0)
        weight.sub_(momentum)

    scale.step(move, [weight, momentum])
    assert weight.tolist() == [[0, 0], [1, 1], [0, 0]]
    assert momentum.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert state[0].tolist() == [START, START / 2, START]
    assert state[1].tolist() == [1, 0, 1]
    scale.step(move, [weight, momentum])  # the next step is a good one for all
    assert state[1].tolist() == [2, 1, 2]


def test_a_scale_has_a_floor_from_which_a_run_goes_on() -> None:
    state = LossScale.start((2,))
    scale, param = LossScale(state), torch.ones(2, 2, requires_grad=True)
    for _ in range(200):
        gradient(param.sum(1) * torch.tensor([torch.inf, 1.0]), [param], scale=scale)
        scale.step(lambda: None, [])
    assert state[0].tolist() == [LEAST, START]
    grads = gradient(param.sum(1) * torch.tensor([3.0, 1.0]), [param], scale=scale)
    assert grads[0].tolist() == [[3, 3], [1, 1]]


def test_a_gradient_that_is_finite_only_as_long_as_it_is_scaled_down_is_left_out() -> None:
    state = LossScale.start((2,))
    state[0].fill_(2.0**-10)
    scale, param = LossScale(state), torch.ones(2, 2, requires_grad=True)
    grads = gradient(param.sum(1) * torch.tensor([3e38, 1.0]), [param], scale=scale)
    assert grads[0].isfinite().all()
    scaled = scale.unscaled([torch.tensor([[3e38, 0.0], [1.0, 1.0]])])
    assert scaled[0].tolist() == [[0, 0], [1024, 1024]]
    weight = torch.zeros(2)
    scale.step(lambda: weight.fill_(9.0), [weight])
    assert weight.tolist() == [0, 9]


def test_of_several_losses_one_overflow_is_enough() -> None:
    state = LossScale.start(())
    scale, param = LossScale(state), torch.ones(2, requires_grad=True)
    for factor in (1e38, 1.0):
        gradient(param.sum() * factor, [param], scale=scale)
    weight = torch.zeros(2)
    scale.step(lambda: weight.fill_(9.0), [weight])
    assert weight.tolist() == [0, 0]
    assert state[0].item() == START / 2


def test_good_steps_in_a_row_double_the_scale() -> None:
    state = LossScale.start((2,))
    state[1].copy_(torch.tensor([GROW_AFTER - 1, 0]))
    LossScale(state).step(lambda: None, [])
    assert state[0].tolist() == [2 * START, START]
    assert state[1].tolist() == [0, 1]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_run_in_float16_recovers_from_a_scale_that_is_too_large_and_resumes_exactly(stacked: bool) -> None:
    one = spec("si", optimizer={"lr": 0.02, "momentum": 0.9}, training={"dtype": "float32", "precision": "float16"})
    whole, first, second = (Population([one], stacked=stacked) for _ in range(3))
    start = {name: tensor.clone() for name, tensor in members(whole)[0].items()}
    for population in (whole, first):
        population.state.optimizer["loss_scale"][0].fill_(2.0**40)
        population.fit_task(0)
    assert whole.finite() == [True]
    assert whole.state.optimizer["loss_scale"][0].max() < 2.0**40
    assert any(not torch.equal(members(whole)[0][name], tensor) for name, tensor in start.items())
    second.load_state(first.state)
    for population in (whole, second):
        population.fit_task(1)
    for name, tensor in members(whole)[0].items():
        assert torch.equal(members(second)[0][name], tensor), name


def test_channels_last_lays_out_weights_once_and_changes_no_more_than_rounding() -> None:
    for method in ("er", "derpp", "ewc"):
        found = []
        for last in (False, True):
            one = spec(method, tasks=IMAGES, network=ConvNet(hidden=(4, 6)), optimizer={"lr": 0.02, "momentum": 0.9},
                       training={"channels_last": last, "evaluate_every": 3})  # fmt: skip
            population = train(Population([one], stacked=False))
            kernels = [w for w in population.state.weights.params.values() if w.ndim == 4 and w.shape[-1] == 3]
            assert all(w.is_contiguous(memory_format=torch.channels_last) == last for w in kernels)
            found.append(members(population)[0])
        for name, tensor in found[0].items():
            torch.testing.assert_close(found[1][name], tensor, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("width", "laid_out"), [(2, False), (15, False), (16, True), (20, True)])
def test_narrow_strided_shortcuts_keep_their_layout_for_which_onednn_writes_past_its_memory(
    width: int, laid_out: bool
) -> None:
    one = spec("er", tasks=IMAGES, network=ResNet18(width=width), training={"channels_last": True})
    kernels = [w for w in build_parts(one).network.parameters() if w.ndim == 4 and w.shape[-1] == 3]
    assert all(w.is_contiguous(memory_format=torch.channels_last) == laid_out for w in kernels)


def test_a_compiled_pass_is_the_same_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(torch, "compile", lambda network: lambda x: calls.append(len(x)) or network(x))
    plain, fast = (train(Population([spec("er", training={"compile": c})], stacked=False)) for c in (False, True))
    assert len(calls) == int(fast.state.steps[0])
    for name, tensor in members(plain)[0].items():
        assert torch.equal(members(fast)[0][name], tensor)


def test_where_nothing_can_be_compiled_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: Any) -> Any:
        def call(x: Any) -> Any:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=r"^training.compile: must be left out here: .*No working C\+\+ compiler"):
        run_population([spec("er", training={"compile": True})], threads=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own code
def test_pytorchs_compiler_gives_the_loops_numbers() -> None:
    plain, fast = (
        train(Population([spec("er", tasks=IMAGES, network=ConvNet(hidden=(4,)), training={"compile": c})],
                         stacked=False))
        for c in (False, True)
    )  # fmt: skip
    for name, tensor in members(plain)[0].items():
        torch.testing.assert_close(members(fast)[0][name], tensor, rtol=0, atol=1e-8)


@pytest.mark.parametrize("key", ["channels_last", "compile"])
def test_what_is_of_single_runs_is_refused_in_populations(key: str) -> None:
    specs = [spec("er", seed=k, tasks=IMAGES, network=ConvNet(hidden=(4,)), training={key: True}) for k in range(2)]
    with pytest.raises(ConfigError, match=f"^training.{key}: must be left out with executor 'stack', got True.$"):
        run_population(specs, executor="stack", threads=1)
    ran = [outcome.executor for outcome in run_population(specs[:1], threads=1)] if key == "channels_last" else []
    assert all(about["name"] == "loop" and key in about["reason"] for about in ran)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"training": {"precision": "half"}}, "training.precision: must be one of float32, bfloat16, float16"),
        ({"training": {"precision": "bfloat16"}}, "training.precision: must be left out with dtype 'float64'"),
        ({"training": {"channels_last": 1}}, "training.channels_last: must be true or false, got 1"),
        ({"training": {"compile": "yes"}}, "training.compile: must be true or false, got 'yes'"),
        ({"method": "scr", "training": {"compile": True}}, "training.compile: must be left out with method 'scr'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        spec(**({"method": "er"} | settings))
    assert str(error.value).startswith(words)


def test_channels_last_is_refused_where_it_acts_on_nothing() -> None:
    with pytest.raises(ConfigError, match=r"^training.channels_last: must be left out with a network that has no conv"):
        run_population([spec("er", training={"channels_last": True})], threads=1)
