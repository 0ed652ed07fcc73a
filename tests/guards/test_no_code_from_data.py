"""No code runs from a data file: whatever could do that is not used, and a new use of it fails here.

pickle and its kin, torch.load and numpy.load that unpickle, eval and exec, yaml, whole archives unpacked unseen,
shells, text that a page takes for HTML
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "maskcl"

UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
"""Modules whose reading runs what it reads."""
OTHERS = {"yaml", "ruamel", "subprocess", "pty", "code", "codeop", "runpy", "imp", "ctypes", "cffi", "xmlrpc"}
"""Modules that load or run what a string or a file says; yaml, for its tags."""
BUILTINS = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}
METHODS = {
    "extractall": "unpacks whatever an archive names",
    "extract": "unpacks wherever an archive says",
    "unpack_archive": "unpacks whatever an archive names",
    "read_pickle": "unpickles",
    "literal_eval": "takes Python for data",
    "system": "is a shell",
    "popen": "is a shell",
    "spawn_module": "runs a file",
    "from_string": "takes a text for a template",
    "load_state_dict_from_url": "unpickles what comes from the network",
    "tensorflow_load": "unpickles",
}
"""Methods and functions, by their last name, of whatever module."""

ALLOWED = {
    ("networks/pretrained.py", "import pickle"): "its UnpicklingError is caught, and nothing else of it used",
    ("networks/libraries.py", "import_module"): "of the two names that stand in the same package",
    ("__init__.py", "import_module"): "of our own modules, by name",
    ("launch/child.py", "import subprocess"): "starts this Python with a module of ours",
    ("launch/tune/tuning.py", "import_module"): "of two packages that are named there",
    ("report/page.py", "Markup"): "one constant, with which escaped parts are joined",
}
"""Uses that were looked at, and why they are no way in."""


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def name_of(node: ast.expr) -> str:
    """Dotted name of a function that is called; "?" stands for what has none."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{name_of(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def given(call: ast.Call, name: str) -> object:
    """The constant that a call gives for a keyword; None where it gives none."""
    found = (word.value for word in call.keywords if word.arg == name)
    return next((value.value for value in found if isinstance(value, ast.Constant)), None)


def uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines of a file, and what stands there that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            for module in modules:
                if module.split(".")[0] in UNPICKLING | OTHERS:
                    yield node.lineno, f"import {module}"
        elif isinstance(node, ast.Call):
            name = name_of(node.func)
            last = name.rpartition(".")[2]
            if name in BUILTINS:
                yield node.lineno, name
            elif last in METHODS:
                yield node.lineno, f"{last}, which {METHODS[last]}"
            elif name == "torch.load" and given(node, "weights_only") is not True:
                yield node.lineno, "torch.load without weights_only=True"
            elif name in ("np.load", "numpy.load") and given(node, "allow_pickle") is not False:
                yield node.lineno, "numpy.load without allow_pickle=False"
            elif last in ("load", "loads") and name.split(".")[0] in UNPICKLING:
                yield node.lineno, name
            elif last in ("Markup", "import_module"):
                yield node.lineno, last
            elif last == "Environment" and given(node, "autoescape") is not True:
                yield node.lineno, "jinja2 without autoescape=True"
            elif any(word.arg == "shell" and given(node, "shell") is not False for word in node.keywords):
                yield node.lineno, "a shell"
            elif given(node, "allow_pickle") is True:
                yield node.lineno, "allow_pickle=True"


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_file_uses_nothing_that_runs_what_it_reads(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    found = {(line, what) for line, what in uses(ast.parse(path.read_text(encoding="utf-8")))}
    assert {f"{name}:{line}: {what}" for line, what in found if (name, what) not in ALLOWED} == set()


def test_what_is_allowed_is_still_there() -> None:
    found = {
        (path.relative_to(SOURCE).as_posix(), what)
        for path in files()
        for _, what in uses(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert set(ALLOWED) <= found


def test_of_pickle_only_its_error_is_used() -> None:
    tree = ast.parse((SOURCE / "networks" / "pretrained.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and name_of(node.value) == "pickle"}
    assert used == {"UnpicklingError"}


BAD = {
    "import pickle": "import pickle",
    "from yaml import safe_load": "import yaml",
    "import subprocess": "import subprocess",
    "eval(text)": "eval",
    "torch.load(path)": "torch.load without weights_only=True",
    "torch.load(path, weights_only=False)": "torch.load without weights_only=True",
    "torch.load(path, weights_only=chosen)": "torch.load without weights_only=True",
    "np.load(path)": "numpy.load without allow_pickle=False",
    "np.load(path, allow_pickle=True)": "numpy.load without allow_pickle=False",
    "pandas.read_pickle(path)": "read_pickle, which unpickles",
    "archive.extractall(folder)": "extractall, which unpacks whatever an archive names",
    "tar.extract(member)": "extract, which unpacks wherever an archive says",
    "shutil.unpack_archive(path)": "unpack_archive, which unpacks whatever an archive names",
    "os.system(text)": "system, which is a shell",
    "run(text, shell=True)": "a shell",
    "Markup(text)": "Markup",
    "jinja2.Environment()": "jinja2 without autoescape=True",
    "import_module(text)": "import_module",
}


@pytest.mark.parametrize("code", BAD)
def test_each_way_in_is_found(code: str) -> None:
    assert [what for _, what in uses(ast.parse(code))] == [BAD[code]]


def test_templates_and_scripts_take_no_text_for_html() -> None:
    for path in (SOURCE / "report").glob("*.jinja"):
        text = path.read_text(encoding="utf-8")
        assert "safe" not in [word.strip(" |}") for word in text.split()]
        assert "autoescape" not in text
    for path in (SOURCE / "report").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "setTimeout",
        ):
            assert way not in text
