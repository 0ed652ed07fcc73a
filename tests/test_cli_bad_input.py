"""Everything that can be given wrongly: one sentence, exit status 2, no traceback, nothing written."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from maskcl.cli import main

GOOD = """
seeds = 1
[scenario]
num_tasks = 5
[method]
name = "er"
[memory]
size = 20
"""

_KEYS = ("optimizer.lr", "optimizer.momentum", "memory.size", "memory.policy", "method.replay_batch", "training.epochs",
         "training.batch_size", "training.dtype", "mask.leak", "mask.policy")  # fmt: skip
TEN_AXES = "\n".join(f'"{key}" = {list(range(10))}' for key in _KEYS)

# What is put in place of a part of GOOD (or added at its end), and words of the sentence.
FILES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown key of a method": ('name = "er"', 'name = "der"\nalfa = 0.5', ("[method] 'alfa' is not a key of 'der', got 0.5. Did you mean 'alpha'?",)),
    "key of another method": ('name = "er"', 'name = "er"\nalpha = 0.5', ("'alpha' is not a key of 'er'", "keys are name, replay_batch")),
    "unknown method": ('"er"', '"era"', ("method.name: must be one of finetune", "got 'era'", "Did you mean")),
    "method is a number": ('"er"', "3", ("method.name: must be a string, got 3",)),
    "no method": ('[method]\nname = "er"', "", ("method.name: must be given",)),
    "method without a name": ('name = "er"', "replay_batch = 5", ("method.name: must be given",)),
    "unknown section": ("[memory]", "[memori]", ("'memori' is not a key of an experiment file", "Did you mean 'memory'?")),
    "key outside its section": ("seeds = 1", "lr = 0.1", ("'lr' is not a key of an experiment file", "a key of [optimizer]")),
    "key in the wrong section": ("size = 20", "size = 20\nlr = 0.1", ("[memory] 'lr' is not a key of [memory]", "a key of [optimizer]")),
    "section is a number": ("seeds = 1", "optimizer = 5", ("optimizer: must be a table of settings, got 5",)),
    "negative memory": ("size = 20", "size = -1", ("memory.size: must be 0 or more", "-1")),
    "no slots with a replay method": ("size = 20", "size = 0", ("memory.size: must be 1 or more with method 'er', got 0", "hint: method 'finetune'")),
    "memory of half a slot": ("size = 20", "size = 2.5", ("memory.size: must be a whole number, got 2.5",)),
    "memory is true": ("size = 20", "size = true", ("memory.size: must be a whole number, got True",)),
    "memory is a word": ("size = 20", 'size = "many"', ("memory.size: must be a whole number, got 'many'",)),
    "unknown memory policy": ("size = 20", 'size = 20\npolicy = "resevoir"', ("memory.policy: must be 'reservoir', 'ring'", "or 'herding', got 'resevoir'. Did you mean 'reservoir'?")),
    "ring of fewer slots than classes": ("size = 20", 'size = 9\npolicy = "ring"', ("memory.size: must be 10 or more with policy 'ring'",)),
    "memory that no one uses": ('"er"', '"finetune"', ("[memory]: must not be given, for method 'finetune' has no memory", "hint:")),
    "no seeds": ("seeds = 1", "seeds = 0", ("seeds: must be 1 or more", "got 0")),
    "negative number of seeds": ("seeds = 1", "seeds = -2", ("seeds: must be 1 or more", "got -2")),
    "empty list of seeds": ("seeds = 1", "seeds = []", ("seeds: must be 1 or more",)),
    "a seed twice": ("seeds = 1", "seeds = [1, 1]", ("seeds: must be different",)),
    "a negative seed": ("seeds = 1", "seeds = [-1]", ("seeds: must be 0 or more each, got [-1]",)),
    "seeds are a word": ("seeds = 1", 'seeds = "five"', ("seeds: must be a whole number or a list, got 'five'",)),
    "a seed is a word": ("seeds = 1", 'seeds = [0, "a"]', ("seeds[1]: must be a whole number, got 'a'",)),
    "an empty name": ("seeds = 1", 'name = ""', ("name: ", "got ''")),
    "unknown data set": ("num_tasks = 5", 'dataset = "minst"', ("scenario.dataset: must be 'digits'", "Did you mean 'mnist'?")),
    "tasks do not divide classes": ("num_tasks = 5", "num_tasks = 3", ("scenario.num_tasks: must divide the 10 classes, got 3", "possible: 1, 2, 5, 10")),
    "no tasks": ("num_tasks = 5", "num_tasks = 0", ("scenario.num_tasks: must divide", "got 0")),
    "two ways to cut": ("num_tasks = 5", "num_tasks = 5\ntask_sizes = [5, 5]", ("exactly one of num_tasks, task_sizes, tasks",)),
    "task sizes do not add up": ("num_tasks = 5", "task_sizes = [5, 4]", ("scenario.task_sizes: must add up to the 10 classes",)),
    "a task of no classes": ("num_tasks = 5", "task_sizes = [10, 0]", ("scenario.task_sizes: must be 1 or more each",)),
    "empty task": ("num_tasks = 5", "tasks = [[0, 1], []]", ("scenario.tasks[1]: must hold at least one class",)),
    "class in two tasks": ("num_tasks = 5", "tasks = [[0, 1], [1, 2]]", ("class 1 must be in one task only",)),
    "label outside the range": ("num_tasks = 5", "tasks = [[0, 1], [2, 11]]", ("scenario.tasks[1]: must be classes from 0 to 9, got 11",)),
    "label is a word": ("num_tasks = 5", 'tasks = [[0, "b"]]', ("scenario.tasks[0][1]: must be a whole number, got 'b'",)),
    "tasks are no lists": ("num_tasks = 5", "tasks = [0, 1]", ("scenario.tasks[0]: must be a list, got 0",)),
    "class order leaves classes out": ("num_tasks = 5", "num_tasks = 5\nclass_order = [0, 1]", ("scenario.class_order: must hold each class from 0 to 9 once",)),
    "class order given and shuffled": ("num_tasks = 5", 'class_order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]\n[randomness]\nclass_order = "seed"', ("randomness.class_order: must be left out, for scenario.class_order says the order",)),
    "all rows held out": ("num_tasks = 5", "validation_fraction = 1.0", ("scenario.validation_fraction: must be 0 or more and below 1, got 1.0",)),
    "unknown source of randomness": ("[memory]", '[randomness]\nstream = "sed"\n[memory]', ("randomness.stream: must be 'seed' or a whole number, got 'sed'", "Did you mean 'seed'?")),
    "mask of two kinds": ("[memory]", "[mask]\nvalue = 0.0\nleak = 0.1\n[memory]", ("mask: needs exactly one of value, mass and leak",)),
    "mask of no kind": ("[memory]", '[mask]\npolicy = "task"\n[memory]', ("mask: needs exactly one of value, mass and leak",)),
    "mask of +inf": ("[memory]", "[mask]\nvalue = inf\n[memory]", ("mask.value: must be below +inf, got inf",)),
    "mask of nan": ("[memory]", "[mask]\nvalue = nan\n[memory]", ("mask.value: must be a number, got nan",)),
    "mask is a word": ("[memory]", '[mask]\nvalue = "big"\n[memory]', ("mask.value: must be a number, got 'big'",)),
    "infinite mass": ("[memory]", "[mask]\nmass = -inf\n[memory]", ("mask.mass: must be finite", "hint: value = -inf")),
    "negative leak": ("[memory]", "[mask]\nleak = -0.1\n[memory]", ("mask.leak: must be a finite number, 0 or more, got -0.1",)),
    "unknown key of a mask": ("[memory]", "[mask]\nleek = 0.1\n[memory]", ("[mask] 'leek' is not a key of [mask], got 0.1. Did you mean 'leak'?",)),
    "unknown word for a mask": ("seeds = 1", 'mask = "non"', ("mask: must be 'none' or a table of settings, got 'non'. Did you mean 'none'?",)),
    "unknown mask policy": ("[memory]", '[mask]\nleak = 0.1\npolicy = "tasks"\n[memory]', ("mask.policy: must be one of task, batch, recent", "Did you mean 'task'?")),
    "gradient scale on replaced logits": ("[memory]", "[mask]\nvalue = 0.0\nold_scale = 0.5\n[memory]", ("mask.old_scale: acts only together with leak",)),
    "recent rows without their policy": ("[memory]", "[mask]\nleak = 0.1\nrecent_rows = 10\n[memory]", ("mask.recent_rows: is needed with policy 'recent', and only there",)),
    "mask from a task that never comes": ("[memory]", "[mask]\nleak = 0.1\nfrom_task = 5\n[memory]", ("mask.from_task: must be below the number of tasks, 5, got 5",)),
    "one class a task with m = -inf": ("num_tasks = 5", "num_tasks = 10\n[mask]\nvalue = -inf", ("mask.value: must", "task 0 has one class", "got -inf", "use a finite value")),
    "batch larger than a task": ("[memory]", "[training]\nbatch_size = 1000\n[memory]", ("training.batch_size: must not be above the smallest task's", "got 1000")),
    "batch of nothing": ("[memory]", "[training]\nbatch_size = 0\n[memory]", ("training.batch_size: must be a whole number, 1 or more, got 0",)),
    "no epochs": ("[memory]", "[training]\nepochs = 0\n[memory]", ("training.epochs: must be a whole number, 1 or more",)),
    "unknown key of a schedule": ("[memory]", '[training]\nschedule = { name = "cosine", finl = 0.1 }\n[memory]', ("training.schedule: 'finl' is not a key of [training.schedule], got 0.1. Did you mean 'final'?",)),
    "unknown word for a schedule": ("[memory]", '[training]\nschedule = "cosin"\n[memory]', ("training.schedule.name: must be one of constant, multistep, cosine, got 'cosin'. Did you mean 'cosine'?",)),
    "schedule without its milestones": ("[memory]", '[training]\nschedule = "multistep"\n[memory]', ("training.schedule.milestones: must name one or more with name 'multistep'",)),
    "schedule is a number": ("[memory]", "[training]\nschedule = 3\n[memory]", ("training.schedule: must be 'none', 'constant', 'multistep' or 'cosine' or a table of settings, got 3",)),
    "final rate above the first": ("[memory]", '[training]\nschedule = { name = "cosine", final = 2.0 }\n[memory]', ("training.schedule.final: must be in [0, 1], got 2.0",)),
    "unknown key of an augmentation": ("[memory]", "[training.augment]\nflp = true\n[memory]", ("training.augment: 'flp' is not a key of [training.augment], got True. Did you mean 'flip'?",)),
    "unknown word for an augmentation": ("[memory]", '[training]\naugment = "crop"\n[memory]', ("training.augment: must be 'none' or a table of settings, got 'crop'",)),
    "crop as large as the image": ("[memory]", "[training]\naugment = { crop = 8 }\n[memory]", ("training.augment.crop: must be below height and width of (1, 8, 8), got 8",)),
    "schedule outside of training": ("seeds = 1", 'schedule = "cosine"', ("'schedule' is not a key of an experiment file, got 'cosine'", "hint: 'schedule' is a key of [training]")),
    "section of an augmentation": ("[memory]", "[augment]\ncrop = 1\n[memory]", ("'augment' is not a key of an experiment file", "hint: 'augment' is a key of [training]")),
    "unknown key deep in a grid": ("[memory]", '[grid]\n"training.schedule.finl" = [0.1]\n[memory]', ("[grid]: 'training.schedule.finl' is not a key that can vary. Did you mean 'training.schedule.final'?",)),
    "memory of more slots than fit": ("size = 20", "size = 100000000000000", ("memory.size: must fit into the", "GB that are free")),
    "hidden layer that does not fit": ("[memory]", "[network]\nhidden = [1000000000, 1000000000]\n[memory]", ("network of 1,000,000,", "must fit into the")),
    "hidden layer beyond all numbers": ("[memory]", "[network]\nhidden = [1000000000000000000]\n[memory]", ("network: must be of a size that numbers of 64 bits can tell",)),
    "epochs of more steps than fit": ("[memory]", "[training]\nepochs = 1000000000000\n[memory]", ("must fit into the",)),
    "replay batch that does not fit": ('name = "er"', 'name = "er"\nreplay_batch = 1000000000', ("method.replay_batch: must fit into the",)),
    "unknown dtype": ("[memory]", '[training]\ndtype = "float16"\n[memory]', ("training.dtype: must be one of float32, float64",)),
    "learning rate of 0": ("[memory]", "[optimizer]\nlr = 0.0\n[memory]", ("optimizer.lr: must be a number above 0, got 0.0",)),
    "learning rate of nan": ("[memory]", "[optimizer]\nlr = nan\n[memory]", ("optimizer.lr: must be a number above 0, got nan",)),
    "unknown optimiser": ("[memory]", '[optimizer]\nname = "sgdd"\n[memory]', ("optimizer.name: must be one of sgd, adam", "Did you mean 'sgd'?")),
    "momentum of 1": ("[memory]", "[optimizer]\nmomentum = 1.0\n[memory]", ("optimizer.momentum: must be in [0, 1), got 1.0",)),
    "momentum with adam": ("[memory]", '[optimizer]\nname = "adam"\nmomentum = 0.9\n[memory]', ("optimizer.momentum: acts only with name 'sgd'",)),
    "unknown network": ("[memory]", '[network]\nname = "resnet"\n[memory]', ("network.name: must be one of mlp, convnet",)),
    "hidden layer of no width": ("[memory]", "[network]\nhidden = [0]\n[memory]", ("network.hidden: must be widths above 0",)),
    "hidden is a number": ("[memory]", "[network]\nhidden = 100\n[memory]", ("network.hidden: must be a list, got 100",)),
    "negative weight": ('name = "er"', 'name = "derpp"\nalpha = -1.0', ("method.alpha: must be a number, 0 or more, got -1.0",)),
    "replay batch of 0": ('name = "er"', 'name = "er"\nreplay_batch = 0', ("method.replay_batch: must be a whole number, 1 or more, got 0",)),
    "CFGM without a step": ("[memory]", "[cfgm]\nnum_steps = 2\n[memory]", ("cfgm.step: must be given",)),
    "unknown word for CFGM": ("seeds = 1", 'cfgm = "author"', ("cfgm: must be 'none' or 'authors' or a table of settings", "Did you mean 'authors'?")),
    "axis that is no list": ("[memory]", '[grid]\n"memory.size" = 50\n[memory]', ("[grid] memory.size: must be a list of one or more values, got 50", "hint:")),
    "empty axis": ("[memory]", "[grid]\nmask = []\n[memory]", ("[grid] mask: must be a list of one or more values, got []",)),
    "hidden layers that are none": ("[memory]", '[network]\nname = "convnet"\nhidden = []\n[memory]', ("network.hidden: must have a width or more for 'convnet', got [].",)),
    "one of several widths is 0": ("[memory]", "[network]\nhidden = [8, 0]\n[memory]", ("network.hidden: must be widths above 0, got [8, 0].",)),
    "misspelt key of a data set": ("num_tasks = 5", 'dataset = { fodler = "pics" }', ("scenario.dataset: 'fodler' is not a key of [scenario.dataset], got 'pics'. Did you mean 'folder'?",)),
    "misspelt key of a file of arrays": ("num_tasks = 5", 'dataset = { npzz = "pics" }', ("'npzz' is not a key of [scenario.dataset], got 'pics'. Did you mean 'npz'?",)),
    "unknown axis": ("[memory]", '[grid]\n"memory.siz" = [1, 2]\n[memory]', ("[grid]: 'memory.siz' is not a key that can vary. Did you mean 'memory.size'?",)),
    "seeds as an axis": ("[memory]", "[grid]\nseeds = [1, 2]\n[memory]", ("'seeds' is not a key that can vary", "hint: seeds = n at the top")),
    "bad value deep in a grid": ("[memory]", '[grid]\nmask = ["none", { leak = 0.1 }, { leak = -1 }]\n[memory]', ("mask.leak: must be a finite number, 0 or more, got -1",)),
    "setting twice in a grid": ("[memory]", '[grid]\n"memory.size" = [50, 50]\n[memory]', ("[grid]: must hold each setting once, and has 'er no mask' twice",)),
    "key set by two axes": ("[memory]", '[grid]\n"memory.size" = [1, 2]\n[[grid.zip]]\n"memory.size" = 3\n[memory]', ("[grid] memory.size: must be set by one axis, and is set by two",)),
    "zipped rows of different keys": ("[memory]", '[[grid.zip]]\n"memory.size" = 3\n[[grid.zip]]\n"optimizer.lr" = 0.1\n[memory]', ("[[grid.zip]]: must set the same keys in every table",)),
    "zip that is no table": ("[memory]", "[grid]\nzip = [1, 2]\n[memory]", ("[[grid.zip]]: must be tables", "got [1, 2]")),
    "grid that is no table": ("seeds = 1", "grid = 5", ("[grid]: must be a table, got 5",)),
    "a grid beside a section that is no table": ("seeds = 1", 'optimizer = 5\ngrid = { "optimizer.lr" = [0.1] }', ("[grid] optimizer.lr: cannot be set in 'optimizer', which is not a table, got 5",)),
    "more seeds than anyone means": ("seeds = 1", "seeds = 1000000000", ("a.toml: must come to 100,000 runs or fewer, settings times seeds, got 1000000000",)),
    "more settings than anyone means": ("[memory]", f"[grid]\n{TEN_AXES}\n[memory]", ("a.toml: must come to 100,000 runs or fewer, settings times seeds, got 10000000000",)),
    "no TOML": ("seeds = 1", "seeds = = 1", ("must be TOML (",)),
    "a key twice": ("size = 20", "size = 20\nsize = 30", ("must be TOML (",)),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MASKCL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    (tmp_path / "a.toml").write_text(GOOD)
    return tmp_path


def refused(argv: list[str], words: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Check how a command line is refused, and that it left the folder as it was."""
    before = sorted(folder.rglob("*"))
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: ")), shown.err
    assert "Traceback" not in shown.err
    assert [word for word in words if word not in shown.err] == [], shown.err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("case", FILES)
def test_wrong_files_are_refused(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, words = FILES[case]
    assert GOOD.count(old) == 1
    (folder / "a.toml").write_text(GOOD.replace(old, new))
    refused(["run", "a.toml", "--out", "out"], ("a.toml: ", *words), folder, capsys)


COMMANDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "unknown command": (["rnu"], ("rnu", "run")),
    "unknown option": (["run", "a.toml", "--sed", "3"], ("--sed", "--seeds")),
    "no file": (["run"], ("FILE",)),
    "too many files": (["run", "a.toml", "b.toml"], ("b.toml",)),
    "file that is not there": (["run", "b.toml"], ("b.toml: must be an experiment file, and is not there", "there are: a.toml")),
    "file that is a folder": (["run", "."], ("must be a TOML file that can be read",)),
    "file that is not text": (["run", "bytes.toml"], ("bytes.toml: must be a TOML file that can be read (it is not UTF-8 text)",)),
    "seeds are no number": (["run", "a.toml", "--seeds", "x"], ("--seeds",)),
    "no seeds": (["run", "a.toml", "--seeds", "0"], ("seeds: must be 1 or more", "got 0")),
    "unknown executor": (["run", "a.toml", "--executor", "stck"], ("--executor: must be one of auto, stack, loop, got 'stck'", "'stack'")),
    "too many seeds, dry": (["run", "a.toml", "--seeds", "1000000000", "--dry-run"], ("must come to 100,000 runs or fewer",)),
    "unknown executor, dry": (["run", "a.toml", "--executor", "x", "--dry-run"], ("--executor",)),
    "out is a file": (["run", "a.toml", "--out", "a.toml"], ("out: must be a folder",)),
    "out where no file can be written": (["run", "a.toml", "--out", "/proc/maskcl"], ("out: must be a folder that can be written (",)),
    "out is below a file": (["run", "a.toml", "--out", "a.toml/below"], ("out: must be a folder",)),
    "set without a value": (["run", "a.toml", "--set", "memory.size"], ("--set: must be KEY=VALUE, got 'memory.size'", "hint: e.g.")),
    "set to nothing": (["run", "a.toml", "--set", "memory.size="], ("--set: must be KEY=VALUE",)),
    "set of an unknown key": (["run", "a.toml", "--set", "memory.siz=3"], ("--set: 'memory.siz' is not a key", "Did you mean 'memory.size'?")),
    "set to no TOML": (["run", "a.toml", "--set", "memory.size=[1,"], ("--set memory.size: must have a TOML value",)),
    "set to a wrong value": (["run", "a.toml", "--set", "memory.size=big"], ("memory.size: must be a whole number, got 'big'",)),
    "set of an unknown key of a schedule": (["run", "a.toml", "--set", "training.schedule.finl=0.1"], ("--set: 'training.schedule.finl' is not a key", "Did you mean 'training.schedule.final'?")),
    "set of a key in another section": (["run", "a.toml", "--set", "schedule=cosine"], ("'schedule' is not a key of an experiment file. Did you mean 'training.schedule'?",)),
    "a memory that does not fit, dry": (["run", "a.toml", "--dry-run", "--set", "memory.size=100000000000000"], ("a.toml: memory.size: must fit into the",)),
    "set twice": (["run", "a.toml", "--set", "memory.size=1", "--set", "memory.size=2"], ("--set memory.size: must be given once",)),
    "set of a key in a word": (["run", "a.toml", "--set", "cfgm=authors", "--set", "cfgm.step=1.0"], ("cannot be set in 'cfgm', which is not a table",)),
    "set of a path without quotes": (["run", "a.toml", "--set", "network.weights=a/b.safetensors"], ("--set network.weights: must have a TOML value", "hint: text other than a word stands in quotes: --set 'network.weights=\"a/b.safetensors\"'")),
    "set of a key that nothing is near to": (["run", "a.toml", "--set", "training.foo=1"], ("--set: 'training.foo' is not a key of an experiment file.\nhint: keys of [training] are batch_size, epochs,",)),
    "set of a key near to one of another section": (["run", "a.toml", "--set", "training.epoch=1"], ("Did you mean 'training.epochs'?",)),
    "set of a key of a data set's table": (["run", "a.toml", "--set", "scenario.dataset.image_size=16"], ("--set scenario.dataset.image_size: must be set with its whole table, scenario.dataset = { ... }.",)),
    "set of a network's option": (["run", "a.toml", "--set", "network.options.depth=2"], ("--set network.options.depth: must be set with its whole table, network.options = { ... }.",)),
    "an axis of nothing that something else overrides": (["run", "a.toml", "--set", "grid.mask=[]", "--set", "network=convnet"], ("--set grid.mask: must be a list of one or more values, got [].",)),
    "an axis of nothing that is overridden": (["run", "a.toml", "--set", "grid.network.name=[]", "--set", "network=convnet"], ("--set grid.network.name: must be a list of one or more values, got [].",)),
    "zipped rows of nothing": (["run", "a.toml", "--set", "grid.zip=[]", "--set", "network=convnet"], ("--set grid.zip: must be tables, each setting one or more keys, got [].",)),
    "an axis that is no list, and overridden": (["run", "a.toml", "--set", "grid.memory.size=0", "--set", "network=convnet"], ("--set grid.memory.size: must be a list of one or more values, got 0.",)),
    "a share that leaves hardly a row": (["run", "a.toml", "--subset", "1e-9"], ("training.batch_size: must not be above the smallest task's 2 rows, got 10.\nhint: 10 of the data's 1346 training rows are learnt from (scenario.subset, or --subset)",)),
    "a GPU by its number": (["run", "a.toml", "--set", 'training.device="cuda:3"'], ("training.device: must be one of auto, cpu, cuda, mps, got 'cuda:3'.\nhint: \"cuda\" is the first GPU that the process sees",)),
    "set of an unknown axis": (["run", "a.toml", "--set", "grid.memory.siz=[3]"], ("'memory.siz' is not a key that can vary",)),
    "set beside a grid that is no table": (["run", "a.toml", "--set", "grid=5", "--seeds", "1"], ("grid",)),
    "set beside a zip that is no table": (["run", "a.toml", "--set", "grid.zip=[1, 2]", "--set", "optimizer.lr=0.1"], ("--set grid.zip: must be tables",)),
    "data that are missing": (["run", "a.toml", "--set", "scenario.dataset=mnist"], ("mnist: train-images-idx3-ubyte.gz must be in", "maskcl data download mnist")),
    "data that are not at a place": (["run", "a.toml", "--set", "scenario.dataset=mnist", "--data-root", "there"], ("maskcl data download mnist --data-root there",)),
    "data that are corrupt": (["run", "a.toml", "--set", "scenario.dataset=mnist", "--data-root", "corrupt"], ("must be an idx file", "maskcl data download mnist --data-root corrupt")),
    "data root that is not there": (["run", "a.toml", "--data-root", "there"], ("data root: must be a folder, got 'there'",)),
    "demo with a wrong executor": (["demo", "--executor", "x"], ("--executor",)),
    "demo with no seeds": (["demo", "--seeds", "0"], ("seeds: must be 1 or more",)),
    "demo takes no file": (["demo", "a.toml"], ("a.toml",)),
    "report of nothing": (["report"], ("DIR",)),
    "report of no folder": (["report", "there"], ("there: must be a folder of results, and is not there",)),
    "report of an empty folder": (["report", "corrupt"], ("must hold result files",)),
    "report of a broken file": (["report", "broken"], ("broken: must hold result files (*.json), and holds 1 JSON file that is no result of maskcl: run.json.", "hint: maskcl run FILE")),
    "report of another file": (["report", "other"], ("other: must hold result files (*.json), and holds 1 JSON file that is no result",)),
    "unknown format": (["report", "broken", "--format", "tex"], ("--format: must be one of table, csv, markdown, latex, html, got 'tex'",)),
    "unknown method": (["methods", "derp"], ("error: method: must be one of", "Did you mean 'derpp'?")),
    "unknown data set": (["data", "verify", "minst"], ("must be a folder of pictures, or one of digits, mnist", "Did you mean 'mnist'?")),
    "download of an unknown set": (["data", "download", "cifar"], ("must be one of digits",)),
    "verify of a missing set": (["data", "list", "mnist"], ("mnist",)),
    "unknown data command": (["data", "get"], ("get",)),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_wrong_commands_are_refused(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bytes.toml").write_bytes(b"\xff\xfe") if "bytes" in str(COMMANDS[case][0]) else None
    (folder / "corrupt" / "mnist").mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / "corrupt" / "mnist" / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"not idx at all"))
    for name, text in (("broken", "{"), ("other", "{}")):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    argv, words = COMMANDS[case]
    refused(argv, words, folder, capsys)


def test_there_are_enough_cases() -> None:
    assert len(FILES) + len(COMMANDS) >= 60


def test_damaged_data_are_named_with_the_command_that_repairs_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "verify", "mnist", "--data-root", str(folder)]) == 2
    shown = capsys.readouterr()
    assert shown.out.count("missing") == 4
    assert "maskcl data download mnist --data-root" in shown.err


LONG = "a" * 300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "good.toml", "--out", ""), "error: --out: must not be empty."),
        (("run", "good.toml", "--out="), "error: --out: must not be empty."),
        (("run", ""), "error: FILE: must not be empty."),
        (("run", "good.toml", "-q", ""), "error: Got unexpected extra argument"),
        (("run", "-q", ""), "error: FILE: must not be empty."),
        (("run", "good.toml", "--set="), "error: --set: must not be empty."),
        (("run", "good.toml", "--set=optimizer.lr="), "error: --set: must be KEY=VALUE"),
        (("report", ""), "error: DIR: must not be empty."),
        (("repeat", ""), "error: RESULT: must not be empty."),
        (("fit", "", "--into", "new.model"), "error: FOLDER: must not be empty."),
        (("evaluate", "new.model", ""), "error: FOLDER: must not be empty."),
        (("export", "", "new.onnx"), "error: MODEL: must not be empty."),
        (("data", "verify", ""), "error: NAME_OR_FOLDER: must not be empty."),
        (("run", "good.toml", "--out", LONG), "out: must be a folder that can be written (File name too long)"),
        (("run", "good.toml", "--data-root", LONG), "data root: must be a folder"),
        (
            ("report", "good.toml"),
            "error: good.toml: must be a folder of results, and is a file.\nhint: maskcl run FILE",
        ),
        (("report", LONG), "must be a folder of results, and is not there"),
    ],
)
def test_names_that_are_none_or_too_long(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("good.toml").write_text(GOOD)
    assert main(list(arguments)) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["good.toml"]


def test_a_file_without_an_end_is_read_to_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "large.toml"
    with open(file, "wb") as opened:
        opened.truncate(20_000_000)
    assert main(["run", str(file)]) == 2
    said = f"error: {file}: must be an experiment file, of 16,000,000 bytes or fewer.\n"
    assert capsys.readouterr().err == said
