"""Where tensors lie, and that nothing within the steps waits for a device; on CUDA where there is one."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from engine.small import members, scenario, spec, train
from engine.watching import Watch
from torch import nn

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.cli import main
from maskcl.devices import arithmetic, check_device, devices_here, find_device, free_bytes, send
from maskcl.engine import Population, RunSpec, run_population
from maskcl.engine.auto import GPU_GROUP_SIZE, choose
from maskcl.engine.state import named_tensors
from maskcl.errors import ConfigError, MaskclWarning
from maskcl.experiment.in_process import environment
from maskcl.mask import Mask
from maskcl.methods import REGISTRY, Phase
from maskcl.networks import ConvNet, from_factory
from maskcl.schedule import Schedule

META = torch.device("meta")
IMAGES = scenario(3, rows=6, shape=(3, 6, 6))
F32: dict[str, Any] = {"dtype": "float32"}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", MaskclWarning)
    MASKS = {
        "value": Mask(value=-2.0), "-inf": Mask(value=-torch.inf), "leak": Mask(leak=0.1, visible="seen"),
        "mass": Mask(mass=0.5, policy="batch", keep_future=True),
        "recent": Mask(leak=0.2, policy="recent", recent_rows=9),
        "scales": Mask(leak=0.5, old_scale=0.5, new_scale=1.5), "own-task": Mask(leak=0.5, memory_rows="own-task"),
    }  # fmt: skip
CFGMS = {
    "separate": Cfgm(step=1.0),
    "joint": Cfgm(step=1.0, update="joint", clamp=True, norm="l2", loss="kl", num_steps=2, per_row=2),
    "frozen": Cfgm(step=1.0, generator="frozen", target="label", norm="sign", clamp=True),
}
AUGMENT = Augment(crop=1, flip=True, normalise=((0.5,) * 3, (0.25,) * 3))


def dropping(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, num_classes))


def watched(specs: list[RunSpec], *, stacked: bool, task: int = 1, device: torch.device = META) -> Watch:
    """Train the tasks before one on the CPU, move all to the meta device, and watch that task's steps there."""
    there = train(Population(specs, stacked=stacked), range(task))
    here = Population(specs, stacked=stacked, device=device)
    here.load_state(there.state)
    for name, tensor in named_tensors(here.state.tensors()):
        assert tensor.device == device, name
    watch = Watch(device.type)
    for index, phase in enumerate(here.method.phases(task, here.num_tasks) or (Phase(),)):
        plan, run = here.plan(task, phase, index), here.trainer(task, phase).run
        for chunk in plan.chunks():
            run(chunk.steps[:1], every=1, tell=lambda done, losses: None)  # what is made once is made here
            with watch:
                run(chunk.steps[1:3], every=50, tell=lambda done, losses: None)  # a chunk's steps are of one shape
    assert watch.count > 20
    return watch


CASES: dict[str, dict[str, Any]] = {
    **{key: {"method": key} for key in REGISTRY if key != "joint"},
    **{f"mask {name}": {"method": "derpp", "mask": mask} for name, mask in MASKS.items()},
    **{f"cfgm {name}": {"method": "finetune", "cfgm": cfgm, "mask": MASKS["leak"]} for name, cfgm in CFGMS.items()},
    "cfgm on pictures": {"method": "er", "cfgm": CFGMS["joint"], "tasks": IMAGES, "network": ConvNet(hidden=(4,)),
                         "training": F32 | {"augment": AUGMENT}},
    "after": {"method": "derpp", "store": "after"},
    "augmented": {"method": "derpp", "tasks": IMAGES, "network": ConvNet(hidden=(4,)),
                  "training": F32 | {"augment": AUGMENT}},
    "two views": {"method": "scr", "tasks": IMAGES, "network": ConvNet(hidden=(4,)),
                  "training": F32 | {"augment": AUGMENT}},
    "mir augmented": {"method": "mir", "tasks": IMAGES, "network": ConvNet(hidden=(4,)),
                      "training": F32 | {"augment": AUGMENT}},
    "momentum": {"method": "er", "optimizer": {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3, "clip_norm": 1.0}},
    "adam": {"method": "si", "optimizer": {"name": "adam", "lr": 1e-3}},
    "schedule": {"method": "er", "training": F32 | {"schedule": Schedule(name="cosine", warmup=0.2)}},
    "smoothing": {"method": "er", "training": F32 | {"label_smoothing": 0.1}},
    "dropout": {"method": "er", "network": from_factory(dropping)},
    "dials": {"method": "derpp", "mask": MASKS["leak"]},
}  # fmt: skip


def specs_of(case: dict[str, Any], *, stacked: bool) -> list[RunSpec]:
    found = []
    for k in range(2 if stacked else 1):
        given = {"training": F32} | {name: part for name, part in case.items() if name != "method"}
        given["optimizer"] = {"lr": 0.02 * (1 + k)} | given.get("optimizer", {})
        found.append(spec(case["method"], seed=k, **given))
    return found


@pytest.mark.parametrize("stacked", [False, True], ids=["loop", "stack"])
@pytest.mark.parametrize("case", CASES)
def test_no_step_waits_for_a_device_and_all_its_tensors_are_there(case: str, stacked: bool) -> None:
    assert sorted(set(watched(specs_of(CASES[case], stacked=stacked), stacked=stacked).faults)) == []


@pytest.mark.parametrize("stacked", [False, True], ids=["loop", "stack"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_no_step_waits_in_fewer_bits(precision: str, stacked: bool) -> None:
    """On the CPU, for there is no autocast on the meta device."""
    specs = [spec("agem", seed=k, training=F32 | {"precision": precision}) for k in range(2 if stacked else 1)]
    assert sorted(set(watched(specs, stacked=stacked, device=torch.device("cpu")).faults)) == []


def test_joint_training_has_one_task() -> None:
    assert watched([spec("joint", training=F32)], stacked=False, task=2).faults == []


def test_dials_that_differ_lie_there_too() -> None:
    warm = F32 | {"schedule": Schedule(warmup=0.3)}
    specs = [
        spec("derpp", seed=k, alpha=0.5 - 0.1 * k, beta=0.5 + 0.1 * k, training=warm,
             mask=Mask(leak=0.1 * (k + 1), old_scale=0.5 + 0.1 * k), optimizer={"lr": 0.02, "momentum": 0.5 + 0.1 * k},
             cfgm=Cfgm(step=1.0 + k, update="joint"))
        for k in range(2)
    ]  # fmt: skip
    assert sorted(set(watched(specs, stacked=True).faults)) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: bool(x.sum() > 0), "waits"),
        (lambda x: x.sum().item(), "waits"),
        (lambda x: x + torch.ones(3), "has tensors of"),
        (lambda x: torch.ones(3).to("meta"), "copies"),
        (lambda x: torch.tensor([1.0, 2.0], device="meta"), "copies"),
        (lambda x: torch.as_tensor(1.0, device="meta"), "copies"),
        (lambda x: x[x > 0], "waits"),
        (lambda x: torch.zeros(3), "has tensors of"),
    ],
)
def test_the_watch_sees_what_it_is_for(wrong: Any, words: str) -> None:
    watch = Watch("meta")
    x = torch.ones(3, device="meta")
    with watch:
        try:
            wrong(x)
        except (RuntimeError, NotImplementedError):  # the meta device has no values, or refuses the mixture by itself
            return
    assert any(words in fault for fault in watch.faults)


def test_the_default_is_the_cpu_whatever_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert spec("er").training.device == "cpu"
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type == "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert (find_device("auto").type, devices_here()) == ("mps", ("mps", "cpu"))
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert find_device("auto").type == "cpu"
    assert send(torch.ones(2), torch.device("meta")).device == META


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["training.device=cuda"], "training.device: must be one that is there, and there is cpu, got 'cuda'."),
        (["training.device=tpu"], "training.device: must be one of auto, cpu, cuda, mps, got 'tpu'."),
        (["training.device=cpu", "training.precision=half"], "training.precision: must be one of float32, bfloat16"),
    ],
)
def test_a_device_that_is_not_there_is_one_sentence_and_exit_status_2(
    arguments: list[str],
    sentence: str,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    file, out = tmp_path / "a.toml", tmp_path / "out"
    file.write_text('[scenario]\ndataset = "digits"\n[method]\nname = "finetune"\n')
    given = [part for setting in arguments for part in ("--set", setting)]
    assert main(["run", str(file), "--out", str(out), "--dry-run", *given]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_a_type_that_the_device_does_not_compute_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr("maskcl.devices._multiplies", lambda device, dtype: True)
    check_device("cuda", dtype="float32", precision="float16")
    with pytest.raises(ConfigError, match=r"^training.precision: must be one that Old GPU computes in, got 'bfloat16'"):
        check_device("cuda", dtype="float32", precision="bfloat16")
    monkeypatch.setattr("maskcl.devices._multiplies", lambda device, dtype: dtype != torch.float64)
    with pytest.raises(ConfigError, match=r"^training.dtype: must be one that cpu computes in, got 'float64'"):
        check_device("cpu", dtype="float64", precision="float32")


def test_blocks_that_pytorch_has_and_nobody_uses_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10, 100))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 70)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: 20)
    assert free_bytes(torch.device("cuda")) == 10 + 70 - 20


def test_results_tell_the_arithmetic_of_a_gpu_and_nothing_of_it_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    plain = environment()
    assert arithmetic() == {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.get_float32_matmul_precision", lambda: "high")
    told = environment()
    assert {name: value for name, value in told.items() if name in plain} == plain
    assert told["float32_matmul_precision"] == "high"
    flags = {"cudnn_tf32", "cudnn_benchmark", "cudnn_deterministic", "deterministic_algorithms"}
    assert all(isinstance(told[name], bool) for name in flags)
    assert set(told) - set(plain) == flags | {"cuda", "cudnn", "float32_matmul_precision"}


def test_groups_are_large_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [spec("er", training=F32 | {"device": "auto"})] * 3000
    monkeypatch.setattr("maskcl.engine.auto.find_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("maskcl.engine.auto.device_name", lambda device: "Some GPU")
    monkeypatch.setattr("maskcl.engine.auto.free_bytes", lambda device: 10**12)
    choice = choose(specs, executor="auto", group_size=None, workers=1)
    assert (choice.stacked, choice.group_size, choice.device) == (True, GPU_GROUP_SIZE, "Some GPU")
    assert choose(specs, executor="auto", group_size=256, workers=1).group_size == 256


def test_where_a_run_is_computed_is_no_part_of_what_it_is() -> None:
    import maskcl

    settings = {"scenario": {"dataset": "digits", "num_tasks": 5}, "method": {"name": "finetune"}}
    told = [
        maskcl.run(settings | {"training": {"batch_size": 100} | changes}, seeds=1, threads=1).runs[0]
        for changes in ({}, {"device": "auto"}, {"precision": "bfloat16"})
    ]
    assert told[0]["config"] == told[1]["config"]
    assert told[0]["config_hash"] == told[1]["config_hash"] != told[2]["config_hash"]
    assert told[2]["config"]["training"]["precision"] == "bfloat16"
    assert "precision" not in told[0]["config"]["training"]
    assert told[0]["executor"]["device"] == "cpu"


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")


@cuda
@pytest.mark.parametrize("stacked", [False, True], ids=["loop", "stack"])
@pytest.mark.parametrize("key", REGISTRY)
def test_a_gpu_gives_the_cpus_numbers(key: str, stacked: bool) -> None:
    specs = [spec(key, seed=k) for k in range(2 if stacked else 1)]
    there = [dataclasses.replace(s, training=dataclasses.replace(s.training, device="cuda")) for s in specs]
    near, far = (train(Population(each, stacked=stacked)) for each in (specs, there))
    for mine, theirs in zip(members(near), members(far), strict=True):
        for name, tensor in mine.items():
            assert theirs[name].device.type == "cuda", name
            torch.testing.assert_close(theirs[name].cpu(), tensor, rtol=0, atol=1e-7)


@cuda
@pytest.mark.parametrize("stacked", [False, True], ids=["loop", "stack"])
@pytest.mark.parametrize("case", CASES)
def test_pytorch_sees_no_wait_within_the_steps(case: str, stacked: bool) -> None:
    specs = specs_of(CASES[case], stacked=stacked)
    population = Population(specs, stacked=stacked, device=torch.device("cuda"))
    population.fit_task(0)
    for index, phase in enumerate(population.method.phases(1, population.num_tasks)):
        run = population.trainer(1, phase).run
        for chunk in population.plan(1, phase, index).chunks():
            run(chunk.steps[:1], every=1, tell=lambda done, losses: None)
            torch.cuda.set_sync_debug_mode("error")
            try:
                run(chunk.steps, every=50, tell=lambda done, losses: None)
            finally:
                torch.cuda.set_sync_debug_mode("default")


@cuda
def test_whole_runs_in_every_precision_end_on_a_gpu() -> None:
    for precision in ("float32", "bfloat16", "float16"):
        specs = [spec("derpp", seed=k, training=F32 | {"device": "cuda", "precision": precision}) for k in range(3)]
        for executor in ("loop", "stack"):
            outcomes = run_population(specs, executor=executor)
            assert all(outcome.status == "finished" for outcome in outcomes)
            assert outcomes[0].executor["device"] == torch.cuda.get_device_name()
