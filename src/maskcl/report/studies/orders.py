"""How much the class order matters beside the seed: runs by both, and the parts of their variance."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from maskcl.metrics import Bounded, Interval, VarianceParts, interval, variance_parts
from maskcl.report.names import short_name, short_names
from maskcl.report.studies import Study
from maskcl.results import DASH, Results, Row, Setting, Table, flat_config, percent

__all__ = ["Spread", "by_order_alone", "class_orders", "order_of", "says", "spreads"]

FEWEST_ORDERS = 3
MOST_TOLD = 4
FEW = 6
"""Orders or seeds below which the intervals of parts are not to be trusted."""
_ORDER = ("randomness.class_order", "scenario.class_order", "scenario.tasks")
"""Settings that say which classes come when."""
_CAPTION = (
    "Each row is a setting. Faint: single runs, a line from the least to the most and a box around the middle half. "
    "Circles: class orders, each the mean over its seeds; triangles: seeds, each the mean over the orders. Circles "
    "that lie wider apart than chance puts them are orders that matter."
)
_TOGETHER = " Where every run has an order of its own, order and seed cannot be told apart, and there are runs alone."


class Spread(NamedTuple):
    """All runs of what is one setting but for its class order.

    Attributes:
        name: Of the setting.
        kind: Method and mask.
        runs: Documents of all runs that finished.
        values: Their final accuracies, [N].
        crossed: Those of the orders and seeds that go with each other, [O, S]; None if there are no two of each.
        orders: How many class orders there are.
        parts: Of the variance of `crossed`; None with fewer than three orders.
    """

    name: str
    kind: str
    runs: tuple[dict[str, Any], ...]
    values: Any
    crossed: Any
    orders: int
    parts: VarianceParts | None

    @property
    def mean(self) -> Interval:
        """Of the means of orders, where they have the same seeds; else of all runs."""
        return interval(self.values if self.crossed is None else self.crossed.mean(1))


def class_orders(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of class orders; unasked where seeds and orders were varied independently of each other."""
    from maskcl.report.figures.orders import draw

    found = spreads(results)
    if not found or not (asked or any(one.parts is not None for one in found)):
        return []
    together = any(one.crossed is None for one in found)
    caption = f"{_CAPTION}{_TOGETHER if together else ''}"
    return [Study("class_orders", "Spread over class orders and seeds", says(found), caption, _table(found),
                  lambda: draw(found))]  # fmt: skip


def spreads(results: Results) -> list[Spread]:
    """Settings that ran on three class orders or more, those that differ in the order alone together."""
    groups = _groups(results)
    found = []
    names = short_names([members[0] for members in groups], without=_ORDER)
    for name, members in zip(names, groups, strict=True):
        runs = _finished(members)
        cells = {(order_of(run), run["seed"]): float(run["metrics"].get("final_accuracy", np.nan)) for run in runs}
        cells = {place: value for place, value in cells.items() if not np.isnan(value)}
        orders = {order for order, _ in cells}
        if len(orders) < FEWEST_ORDERS:
            continue
        crossed = _crossed(cells)
        parts = None if crossed is None or len(crossed) < FEWEST_ORDERS else variance_parts(crossed)
        kind = f"{members[0].title}, {short_name(members[0].dial)}"
        values = np.array(list(cells.values()))
        found.append(Spread(name, kind, tuple(runs), values, crossed, len(orders), parts))
    return found


def by_order_alone(results: Results) -> bool:
    """Whether all settings are the same but for their class orders, of which each has three or more."""
    return all(
        len(members) > 1 and len({order_of(run) for run in _finished(members)}) >= FEWEST_ORDERS
        for members in _groups(results)
    )


def _groups(results: Results) -> list[list[Setting]]:
    """Settings that differ in the order alone together."""
    groups: dict[str, list[Setting]] = defaultdict(list)
    for s in results.settings:
        groups[_apart_from_order(s)].append(s)
    return list(groups.values())


def _finished(members: Sequence[Setting]) -> list[dict[str, Any]]:
    return [run for s in members for run in s.runs if run["status"] == "finished" and run.get("tasks")]


def _apart_from_order(setting: Setting) -> str:
    """All of a configuration but the class order; an order for every run is another thing than one for all of them."""
    flat = {k: v for k, v in flat_config(setting.config).items() if k not in _ORDER and not k.startswith("seeds")}
    every = (setting.config.get("randomness") or {}).get("class_order") == "seed"
    return json.dumps(flat | {"every run has its own": every}, sort_keys=True, default=str)


def order_of(run: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """Which classes came when; within a task they come together."""
    return tuple(tuple(sorted(classes)) for classes in run["tasks"])


def _crossed(cells: dict[Any, float]) -> Any:
    """The largest part in which every order has every seed, found by leaving out what lacks most; None without."""
    orders, seeds = (sorted({place[i] for place in cells}) for i in (0, 1))
    table = np.array([[cells.get((order, seed), np.nan) for seed in seeds] for order in orders])
    while table.size and np.isnan(table).any():
        gaps = np.isnan(table)
        rows, columns = gaps.mean(1), gaps.mean(0)
        if rows.max() >= columns.max():
            table = np.delete(table, int(rows.argmax()), 0)
        else:
            table = np.delete(table, int(columns.argmax()), 1)
    return table if table.ndim == 2 and min(table.shape) >= 2 else None


def says(found: list[Spread]) -> str:
    """Standard deviations by order, seed and the rest, in a sentence."""
    told = []
    for one in found[:MOST_TOLD]:
        if one.parts is None:
            told.append(f"{one.name}: standard deviation {_points(one.values.std(ddof=1))} over {one.orders} orders")
        else:
            order, seed, rest = (_points(part.value**0.5) for part in one.parts[:3])
            told.append(f"{one.name}: {order} points from the order, {seed} from the seed, {rest} from the rest")
    more = [f"{len(found) - MOST_TOLD} more in the table"] if len(found) > MOST_TOLD else []
    return f"Standard deviations of final accuracy: {'; '.join(told + more)}."


def _table(found: list[Spread]) -> Table:
    header = ("Setting", "Orders", "Seeds", "Mean", "Worst order", "Worst run", "SD of order", "SD of seed",
              "SD of the rest", "Order's share")  # fmt: skip
    rows = []
    for i, one in enumerate(found):
        means = one.values if one.crossed is None else one.crossed.mean(1)
        seeds = DASH if one.crossed is None else str(one.crossed.shape[1])
        count = one.orders if one.crossed is None else len(one.crossed)
        row = [one.name, str(count), seeds, percent(one.mean), _points(means.min()), _points(one.values.min())]
        row += [DASH] * 4 if one.parts is None else [
            *(_range(part, root=True) for part in one.parts[:3]), _range(one.parts.share)]  # fmt: skip
        rows.append(Row(tuple(row), i == 0))
    notes = [
        "Final accuracy in percent; mean ± 95 % interval over orders.",
        "SD: standard deviations in points, of a two-way analysis of variance; 95 % bootstrap intervals.",
        "The rest: what order and seed do only together, and chance. Order's share: of the variance, in percent.",
    ]
    if any(one.parts is not None and min(one.crossed.shape) < FEW for one in found):
        notes.append(f"Parts below 0 count as 0; with fewer than {FEW} orders or seeds intervals may be too narrow.")
    return Table(header, tuple(rows), 1, tuple(notes))


def _range(part: Bounded, *, root: bool = False) -> str:
    values = [value**0.5 if root else value for value in part]
    if np.isnan(values[0]):
        return DASH
    interval_known = not np.isnan(values[1])
    return _points(values[0]) + (f" ({_points(values[1])} to {_points(values[2])})" if interval_known else "")


def _points(value: float) -> str:
    return f"{100 * value:.1f}"
