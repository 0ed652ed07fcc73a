"""Mutation testing with mutmut: how many small errors in `src` would the fast tests notice?

    make mutants ONLY=src/maskcl/mask.py   one module, all below a folder, or several of them
    make mutants                           everything in [tool.mutmut] only_mutate: hours, and it can be interrupted
    make mutants SAMPLE=500                a random 500 of them, the same each time: an honest share in an hour
    make mutants ONLY=... AGAIN=1          what survived once more, after tests were written
    make mutants ONLY=... SHOW=1           run nothing; print the survivors' differences

Settings are in pyproject.toml, work is in mutants/, which ignores itself. Two things are added to mutmut here: it runs
modules by path and still resumes, and it leaves error texts alone. What is worded for a person (`check`'s last
arguments, what is raised, what is warned) is no arithmetic, and its mutants would only count how many sentences tests
repeat.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import libcst as cst
from mutmut import __main__ as mutmut
from mutmut.mutation import file_mutation
from mutmut.mutation.data import SourceFileMutationData
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

ROOT = Path(__file__).parents[1]

TEXTS: dict[str, range] = {
    "check": range(1, 4),
    "check_choice": range(1, 2),
    "check_classes": range(0),
    "as_classes": range(2, 3),
    "as_dial": range(0),
    "as_labels": range(2, 3),
    "as_logits": range(1, 2),
    "as_tensor": range(1, 2),
    "Rule": range(1, 4),
    "message": range(99),
    "nearest": range(99),
    "warn": range(99),
    "_warn": range(99),
}
"""Functions that word something, and which of their positional arguments are the words."""
TEXT_KEYWORDS = {"hint", "name", "where", "got", "stacklevel"}

CAUGHT = ("killed", "timeout", "segfault", "suspicious")
LEFT = ("survived", "no tests")


def is_text(call: cst.Call, place: int) -> bool:
    """Whether an argument of a call is only words for a person."""
    name = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
    if not isinstance(name, cst.Name) or name.value not in TEXTS:
        return False
    keyword = call.args[place].keyword
    return keyword.value in TEXT_KEYWORDS if keyword else place in TEXTS[name.value]


class Visitor(file_mutation.MutationVisitor):
    """mutmut's, blind to words."""

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Skip what is raised or asserted, and the words among the arguments of a call."""
        if isinstance(node, cst.Raise | cst.Assert):
            return False
        if isinstance(node, cst.Call):
            words = [place for place in range(len(node.args)) if is_text(node, place)]
            if words:
                before = len(self.mutations)
                self._create_mutations(node)
                kept = [m for m in self.mutations[before:] if self._changed(node, m.mutated_node) not in words]
                self.mutations[before:] = kept
                for place, argument in enumerate(node.args):
                    if place not in words:
                        argument.visit(self)
                return False
        return super().on_visit(node)

    @staticmethod
    def _changed(call: cst.Call, mutated: cst.CSTNode) -> int:
        others = mutated.args if isinstance(mutated, cst.Call) else call.args
        pairs = enumerate(zip(call.args, others, strict=False))
        return next((place for place, (one, other) in pairs if one is not other), len(others))


def chosen(only: str) -> Iterator[SourceFileMutationData]:
    """Results of the modules below a path."""
    for path in walk_mutatable_files():
        if not only or any(path == Path(one) or Path(one) in path.parents for one in only.split()):
            data = SourceFileMutationData(path=path)
            data.load()
            yield data


def restrict(only: str, *, again: bool, sample: int | None) -> None:
    """Make mutmut run the chosen modules, or a sample of their mutants, and only the tests that reach them."""
    collect = mutmut.collect_source_file_mutation_data

    def collected(**_: object) -> tuple:
        everything, by_path = collect(mutant_names=())
        paths = {data.path for data in chosen(only)}
        mine = []
        keys = sorted(key for data, key, _ in everything if data.path in paths)
        drawn = set(keys if sample is None else Random(0).sample(keys, min(sample, len(keys))))
        for data, key, code in everything:
            if key in drawn:
                if again and status_by_exit_code[code] in LEFT:
                    data.exit_code_by_key[key] = code = None
                mine.append((data, key, code))
        return mine, by_path

    def tests(_: object) -> set[str]:
        modules = {".".join(data.path.with_suffix("").parts[1:]) for data in chosen(only)}
        reached = mutmut.state().tests_by_mangled_function_name
        return {test for name, tests in reached.items() if name.rpartition(".")[0] in modules for test in tests}

    mutmut.collect_source_file_mutation_data = collected
    mutmut.tests_for_mutant_names = tests


def table(only: str) -> None:
    """Print the share killed by module."""
    total: Counter[str] = Counter()
    print(f"\n{'module':<44} mutants  killed   share  not run")
    for data in chosen(only):
        counts = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        row(str(data.path.relative_to("src/maskcl")), counts)
        total += counts
    row("all", total)


def row(name: str, counts: Counter[str]) -> None:
    """Print one line: timed out and crashed count as killed, without a test that reaches it as alive."""
    killed, alive = (sum(counts[status] for status in group) for group in (CAUGHT, LEFT))
    share = f"{killed / (killed + alive):7.1%}" if killed + alive else "      -"
    print(f"{name:<44} {sum(counts.values()):7} {killed:7} {share} {sum(counts.values()) - killed - alive:8}")


def show(only: str) -> None:
    """Print what survived, as differences, by module."""
    found = defaultdict(list)
    for data in chosen(only):
        for key, code in data.exit_code_by_key.items():
            if status_by_exit_code[code] in LEFT:
                found[data.path].append(key)
    for path, keys in found.items():
        for key in keys:
            lines = mutmut.get_diff_for_mutant(key, path=path).splitlines()
            changed = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
            print(key, *changed, sep="\n")


def main() -> None:
    """Read ONLY, AGAIN, SAMPLE and SHOW from the environment."""
    only, again, sample = os.environ.get("ONLY", ""), bool(os.environ.get("AGAIN")), os.environ.get("SAMPLE", "")
    if sample and not (sample.isdecimal() and int(sample) > 0):
        sys.exit(f"SAMPLE: must be a whole number above 0, got {sample!r}.")
    for one in only.split():
        if not Path(one).exists():
            sys.exit(f"ONLY: must hold files or folders below src, got {one!r}.")
    Path("mutants").mkdir(exist_ok=True)
    Path("mutants/.gitignore").write_text("*\n")
    if os.environ.get("SHOW"):
        show(only)
    else:
        file_mutation.MutationVisitor = Visitor
        restrict(only, again=again, sample=int(sample) if sample else None)
        mutmut._run((), int(os.environ.get("PROCESSES", "1")))
    table(only)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
