"""What the reference of experiment files says of each key beside what the code says: an example, a range, a limit.

Type, default and meaning come from the models that read the files. Ranges are checked by code (`__post_init__`), which
nothing can be read off from, so they stand here, and tests/guards/test_reference.py holds the code to each end of each.
The settings of methods declare theirs, and are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALWAYS", "KEYS", "SAYS", "Key", "key_of"]


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key.

    Args:
        example: A value, as TOML.
        least: It is this or more.
        above: It is above this.
        most: It is this or less.
        below: It is below this.
        words: It is one of these.
        beside: Lines of the same table without which it may not stand, as TOML.
        note: What is said besides.
    """

    example: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    words: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    note: str = ""


ALWAYS = {"mask": "leak = 0.1", "cfgm": "step = 2.0"}
"""A line that a section needs, for examples of its other keys."""

SAYS = {
    "scenario": "Which data, cut into which tasks. [Data](../../data.md) has the data sets.",
    "mask": "How the classes that are not being learnt enter the loss of stream rows: "
    "[the mask](../../methods/mask.md), [which one to take](../../howto/choose-a-mask.md). "
    "Exactly one of `value`, `mass` and `leak` is given. "
    '`mask = "none"` says that there is none; left out, a method has its own, which is none for all but `er_ace`.',
    "cfgm": "Samples of old classes made from stream rows: [CFGM](../../methods/cfgm.md). "
    '`cfgm = "none"`, the default, makes none; `cfgm = "authors"` is the variant of the authors\' code, '
    "`step` = 20 / batch size.",
    "memory": "The replay memory, for methods that have one; refused for the others, unless the grid varies the "
    "method.",
    "optimizer": "How parameters move.",
    "training": "How long, in what pieces, where.",
    "schedule": "`[training.schedule]`: how the learning rate goes over the n steps of a task, or of the run. A word "
    'is short for its name: `schedule = "cosine"`; `"none"` is no schedule.',
    "augment": "`[training.augment]`: how images `[channels, height, width]` are changed before the network sees them: "
    'crop, flip, then normalise. `augment = "none"` changes nothing.',
    "randomness": "Where a run's seed enters: `\"seed\"` is the run's own, a number is the same for all runs.",
}
"""What a section is, at the head of its page."""

_INF = float("inf")
_HEAD = {
    "classifier": Key(example='"cosine"', words=("linear", "cosine")),
    "initialisation": Key(example='"xavier"', words=("default", "xavier")),
}
_LIBRARY = {
    "name": Key(example='"timm/vit_tiny_patch16_224"', note="`timm.list_models()` has the names."),
    "image_size": Key(example="64", least=1),
    "weights": Key(example='"weights/vit.safetensors"'),
    "options": Key(example="{ depth = 6 }", note="What the library refuses is refused with its words."),
}

KEYS: dict[str, Key] = {
    # [scenario]
    "scenario.dataset": Key(
        example='"mnist"', note="[Data](../../data.md) has each; [data tables](dataset.md) has the keys of the tables."
    ),
    "scenario.num_tasks": Key(
        example="2", least=1, note="It must divide the number of classes; only one of it, `task_sizes` and `tasks`."
    ),
    "scenario.task_sizes": Key(
        example="[4, 2, 2, 2]", note="Each 1 or more; together all classes of the data, in the order of `class_order`."
    ),
    "scenario.tasks": Key(
        example="[[0, 1], [8, 9], [4]]", note="Classes may be left out; the head keeps an output for each of them."
    ),
    "scenario.class_order": Key(
        example="[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]",
        note="Every class once; not beside `tasks`, nor beside `randomness.class_order`.",
    ),
    "scenario.validation_fraction": Key(
        example="0.1", least=0, below=1, note="For choosing settings: the test rows are then not looked at."
    ),
    "scenario.subset": Key(example="0.1", above=0, most=1, note="A smaller share is part of a larger one."),
    "scenario.eval_subset": Key(example="0.1", above=0, most=1),
    "scenario.blurry": Key(
        example="0.1", least=0, below=1, note='Mask policy "task" is then refused ([why](../../design/streams.md)).'
    ),
    "scenario.repeats": Key(example="0.3", least=0, most=1, note='Mask policy "task" is then refused.'),
    "scenario.imbalance": Key(example="0.01", above=0, most=1, note="What it is judged by stays as it is."),
    # [mask]
    "mask.value": Key(example="-inf", below=_INF),
    "mask.mass": Key(example="0.0", note="Finite."),
    "mask.leak": Key(
        example="0.01",
        least=0,
        note='Above 1 it is taken with a warning. [What `"auto"` counts](../../design/auto-leak.md).',
    ),
    "mask.old_scale": Key(example="0.5", least=0),
    "mask.new_scale": Key(example="0.5", least=0),
    "mask.policy": Key(example='"batch"', words=("task", "batch", "recent")),
    "mask.recent_rows": Key(example="100", least=1, beside=('policy = "recent"',)),
    "mask.visible": Key(example='"seen"', words=("all", "seen")),
    "mask.from_task": Key(example="1", least=0),
    "mask.memory_rows": Key(example='"plain"', words=("plain", "own-task")),
    "mask.keep_future": Key(example="true"),
    "mask.power": Key(example="0.5", least=0, beside=('leak = "auto"',)),
    "mask.count": Key(example='"visits"', words=("rows", "visits", "steps"), beside=('leak = "auto"',)),
    # [cfgm]
    "cfgm.step": Key(example="4.8", least=0),
    "cfgm.num_steps": Key(example="2", least=1),
    "cfgm.norm": Key(example='"l2"', words=("raw", "l2", "sign")),
    "cfgm.clamp": Key(example="true"),
    "cfgm.draw": Key(example='"balanced"', words=("uniform", "balanced")),
    "cfgm.per_row": Key(example="2", least=1),
    "cfgm.generator": Key(example='"frozen"', words=("current", "frozen")),
    "cfgm.target": Key(example='"label"', words=("frozen", "label")),
    "cfgm.loss": Key(example='"kl"', words=("mse", "kl")),
    "cfgm.temperature": Key(example="2.0", above=0, beside=('loss = "kl"',)),
    "cfgm.update": Key(example='"joint"', words=("separate", "joint")),
    "cfgm.weight": Key(example="2.77", least=0),
    "cfgm.from_task": Key(example="1", least=1),
    "cfgm.crop": Key(example="4", least=0),
    "cfgm.flip": Key(example="true"),
    # [memory]
    "memory.size": Key(example="500", least=0),
    "memory.policy": Key(example='"class_balanced"'),
    # [network]
    "network.mlp.name": Key(example='"mlp"'),
    "network.mlp.hidden": Key(example="[400, 400]", note="Each 1 or more."),
    **{f"network.mlp.{name}": key for name, key in _HEAD.items()},
    "network.convnet.name": Key(example='"convnet"'),
    "network.convnet.hidden": Key(example="[32, 64]", note="Each 1 or more; one or more of them."),
    **{f"network.convnet.{name}": key for name, key in _HEAD.items()},
    "network.resnet18.name": Key(example='"resnet18"'),
    "network.resnet18.width": Key(example="20", least=1),
    **{f"network.resnet18.{name}": key for name, key in _HEAD.items()},
    **{f"network.timm/NAME.{name}": key for name, key in _LIBRARY.items()},
    "network.timm/NAME.patch_size": Key(example="4", least=1, note="It must divide the images' size."),
    **{f"network.torchvision/NAME.{name}": key for name, key in _LIBRARY.items()},
    "network.torchvision/NAME.name": Key(
        example='"torchvision/mobilenet_v2"', note="`torchvision.models.list_models(module=torchvision.models)`."
    ),
    "network.torchvision/NAME.options": Key(
        example="{ width_mult = 0.5 }", note="What the library refuses is refused with its words."
    ),
    # [optimizer]
    "optimizer.name": Key(example='"adam"', words=("sgd", "adam")),
    "optimizer.lr": Key(example="0.05", above=0),
    "optimizer.momentum": Key(example="0.9", least=0, below=1),
    "optimizer.weight_decay": Key(example="0.0005", least=0),
    "optimizer.clip_norm": Key(example="1.0", above=0),
    # [training]
    "training.batch_size": Key(example="32", least=1),
    "training.epochs": Key(example="5", least=1),
    "training.evaluate_every": Key(
        example="100", least=1, note="A result's `anytime` then has accuracy and confidence at each of these steps."
    ),
    "training.dtype": Key(example='"float64"', words=("float32", "float64")),
    "training.precision": Key(example='"bfloat16"', words=("float32", "bfloat16", "float16")),
    "training.device": Key(
        example='"auto"', words=("cpu", "cuda", "mps", "auto"), note="No part of what a run is: no hash depends on it."
    ),
    "training.channels_last": Key(example="true", note="Refused for networks without convolutions."),
    "training.compile": Key(example="true"),
    "training.schedule": Key(example='"cosine"', note="A word, or a table: [its keys](schedule.md)."),
    "training.augment": Key(example="{ crop = 4, flip = true }", note="A table: [its keys](augment.md)."),
    "training.label_smoothing": Key(example="0.1", least=0, below=1),
    "training.average": Key(example="0.3", least=0, most=1),
    "training.checkpoint_every": Key(example="1000", least=0),
    "training.save_weights": Key(
        example="true",
        note="`seed-N.safetensors` beside `seed-N.json`; [how to use it](../../networks.md#trained-networks).",
    ),
    # [training.schedule]
    "training.schedule.name": Key(
        example='"cosine"', words=("constant", "multistep", "cosine"), note="`multistep` needs `milestones`."
    ),
    "training.schedule.milestones": Key(example="[0.7, 0.9]", beside=('name = "multistep"',)),
    "training.schedule.gamma": Key(example="0.2", above=0, beside=('name = "multistep"', "milestones = [0.7, 0.9]")),
    "training.schedule.warmup": Key(example="0.05", least=0, below=1),
    "training.schedule.final": Key(example="0.01", least=0, most=1, beside=('name = "cosine"',)),
    "training.schedule.span": Key(example='"run"', words=("task", "run"), beside=('name = "cosine"',)),
    # [training.augment]
    "training.augment.crop": Key(example="4", least=0),
    "training.augment.flip": Key(example="true"),
    "training.augment.normalise": Key(example="[[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2615]]"),
    # [randomness]
    "randomness.class_order": Key(example='"seed"', note="`experiments/zero_memory_class_orders.toml` uses it."),
    "randomness.initialisation": Key(example="0"),
    "randomness.stream": Key(example="0"),
    # [scenario] dataset = { folder = ... } and { npz = ... }
    "dataset.folder.folder": Key(example='"pictures/birds"'),
    "dataset.folder.image_size": Key(example="64", least=1, most=4096),
    "dataset.folder.held_out": Key(example="0.2", above=0, below=1),
    "dataset.folder.split_seed": Key(example="1", least=0, beside=("held_out = 0.2",)),
    "dataset.folder.skip_unreadable": Key(example="true"),
    "dataset.folder.name": Key(example='"birds"'),
    "dataset.npz.npz": Key(example='"own.npz"'),
    "dataset.npz.name": Key(example='"own"'),
}


def key_of(path: str) -> Key:
    """Return what is said of a key; a new one has to get its entry here."""
    if path not in KEYS:
        raise SystemExit(f"tools/reference_keys.py: must have an example and a range of {path!r}, which is a new key.")
    return KEYS[path]
