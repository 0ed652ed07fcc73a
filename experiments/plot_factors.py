"""Draw what matters for zero memory: python experiments/plot_factors.py runs/zero_memory_factors OUT.png."""

from __future__ import annotations

import sys

from maskcl.report.figures import style
from maskcl.results import Results, Setting, flat_config

NAMES = {
    "cfgm.step": "step",
    "mask.leak": "leak",
    "cfgm.num_steps": "number of steps",
    "cfgm.weight": "weight",
    "optimizer.lr": "learning rate",
    "cfgm.clamp": "clamp",
    "cfgm.generator": "generator",
    "cfgm.target": "target",
    "cfgm.loss": "loss",
    "cfgm.norm": "norm",
    "cfgm.update": "update",
    "cfgm.draw": "draw",
    "cfgm.per_row": "samples a row",
}


def main(folder: str, out: str) -> None:
    """Write one panel a factor: final accuracy with everything else as in the base setting."""
    settings = list(Results.load(folder).settings)
    flats = [{key: flat_config(s.config)[key] for key in NAMES} for s in settings]
    # The base is the setting that most others differ from in one factor.
    base = max(flats, key=lambda flat: sum(len(_changed(flat, other)) == 1 for other in flats))
    with style.look():
        figure, grid = style.canvas(3, 5, size=(12, 7.2), sharey=True)
        for axes, (key, name) in zip(grid.flat, NAMES.items(), strict=False):
            own = [(flat[key], s) for flat, s in zip(flats, settings, strict=True) if _first(flat, base) in (key, None)]
            _panel(axes, name, own, base[key])
        for axes in grid.flat[len(NAMES) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("Final accuracy, %")
        with open(out, "wb") as file:
            file.write(style.png(figure))


def _changed(flat: dict, base: dict) -> list[str]:
    return [key for key in NAMES if flat[key] != base[key]]


def _first(flat: dict, base: dict) -> str | None:
    """The factor a setting stands for; where another number moved along with a word (kl and its weight), the word."""
    changed = _changed(flat, base)
    words = [key for key in changed if isinstance(base[key], str)]
    return (words or changed or [None])[0]


def _panel(axes: object, name: str, own: list[tuple[object, Setting]], base: object) -> None:
    own = sorted(own, key=lambda pair: (isinstance(pair[0], str), pair[0]))
    for i, (value, setting) in enumerate(own):
        found = setting.interval("final_accuracy")
        colour = style.GREY if value == base else "#0072b2"
        axes.errorbar(i, 100 * found.mean, 100 * found.half, fmt="o", color=colour, capsize=3)
    axes.set_xticks(range(len(own)), [str(value).lower() for value, _ in own])
    axes.set_ylim(0, 100)
    axes.set_title(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
