"""What came out: result files, and the object that `maskcl.run` returns and reports stand on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maskcl.errors import MaskclError, MaskclWarning, check, message
from maskcl.files import write_atomically
from maskcl.metrics import interval
from maskcl.results.columns import varied_columns
from maskcl.results.files import checksum, config_hash, document, result_path, slug, write_result
from maskcl.results.folder import LeftOut, load_results, read_folder
from maskcl.results.masks import Dial
from maskcl.results.reading import read_result
from maskcl.results.settings import Family, Setting, difference, families, group
from maskcl.results.table import DASH, HEADLINE, Row, Table, build, divergences, headline, percent
from maskcl.results.text import showable
from maskcl.results.varying import flat_config

if TYPE_CHECKING:
    import pandas

__all__ = [
    "DASH",
    "HEADLINE",
    "Dial",
    "Family",
    "LeftOut",
    "Results",
    "Row",
    "Setting",
    "Table",
    "checksum",
    "config_hash",
    "difference",
    "divergences",
    "document",
    "flat_config",
    "headline",
    "load_results",
    "percent",
    "read_result",
    "result_path",
    "showable",
    "slug",
    "write_atomically",
    "write_result",
]


class Results:
    """The runs of one or more experiments.

    Args:
        runs: Documents, as `load_results` returns them or `document` makes them. In their texts letters that cannot be
            shown (controls, turns of direction) are replaced.
        left_out: What lay beside them and was not read, which the page tells; None: nothing.
    """

    def __init__(self, runs: Iterable[Mapping[str, Any]], *, left_out: LeftOut | None = None) -> None:
        self.runs: tuple[dict[str, Any], ...] = tuple(showable(dict(run)) for run in runs)
        self.left_out = LeftOut() if left_out is None else left_out
        check(len(self.runs) > 0, "results", "must hold at least one run", 0)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Results:
        """Read every result file in a folder and below; what is left out is warned of, and in `left_out`.

        Raises:
            MissingDataError: If the folder is not there.
            DataError: If it holds no result that can be read, or one run twice.
        """
        runs, left_out = read_folder(folder)
        for sentence in left_out.sentences():
            warnings.warn(f"left out {sentence}", MaskclWarning, stacklevel=2)
        return cls(runs, left_out=left_out)

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """The runs by configuration: by method, then from no mask to the strongest."""
        return group(self.runs)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The settings that differ in their mask alone, together."""
        return families(self.settings)

    @cached_property
    def varied(self) -> tuple[dict[str, Any], ...]:
        """What varies between the settings, by dotted name, e.g. "memory.size": a dict for each of `settings`."""
        return tuple(varied_columns(self.settings))

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict a run: names, what varies between settings, seed, status, seconds, every metric as a fraction.

        Every dict has the same keys: None for a setting that a method does not have, NaN for a metric that a run lacks.
        """
        empty = dict.fromkeys(self.metrics, float("nan"))
        return [
            {
                "experiment": run["experiment"],
                "label": s.label,
                "config_hash": s.config_hash,
                "method": s.method,
                "mask": s.mask,
                **varied,
                "seed": run["seed"],
                "status": run["status"],
                "seconds": run.get("seconds", float("nan")),
                **empty,
                **run["metrics"],
            }
            for s, varied in zip(self.settings, self.varied, strict=True)
            for run in s.runs
        ]

    def frame(self) -> pandas.DataFrame:
        """`rows()` as a pandas DataFrame: a row a run, a column for each name.

        Raises:
            MaskclError: If pandas is not installed; the extra "pandas" brings it.
        """
        try:
            import pandas
        except ImportError:
            hint = "pip install 'maskcl[pandas]', or use .rows(), a list of dicts with the same content"
            must = "needs 'pandas', which is not installed; it comes with the extra 'pandas'"
            raise MaskclError(message("Results.frame", must, hint=hint)) from None
        return pandas.DataFrame(self.rows())

    def summary(self) -> list[dict[str, Any]]:
        """One flat dict a setting: what varies; for each metric mean, half interval, paired difference to no mask.

        Fractions: `x`, `x_interval`, `x_difference`, `x_difference_interval`; NaN where undefined. `seeds` is how many
        runs finished, `diverged` how many did not.
        """
        own = {id(s): varied for s, varied in zip(self.settings, self.varied, strict=True)}
        return [self._summary(s, family.plain, own[id(s)]) for family in self.families for s in family.settings]

    def _summary(self, setting: Setting, plain: Setting | None, varied: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "label": setting.label,
            "config_hash": setting.config_hash,
            "method": setting.method,
            "mask": setting.mask,
            **varied,
            "seeds": setting.num_finished,
            "diverged": len(setting.diverged),
        }
        for metric in self.metrics:
            own = setting.interval(metric)
            change = interval([]) if plain is None or plain is setting else difference(setting, plain, metric)
            found |= {
                metric: float(own.mean),
                f"{metric}_interval": float(own.half),
                f"{metric}_difference": float(change.mean),
                f"{metric}_difference_interval": float(change.half),
            }
        return found

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that any run has, in the order of the files."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run["metrics"]))

    def table(self) -> Table:
        """Final accuracy, forgetting and learning accuracy of every setting, anytime accuracy if known; `print` it."""
        return build(self)

    def __repr__(self) -> str:
        return f"Results({len(self.runs)} runs, {len(self.settings)} settings)"
