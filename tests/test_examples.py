"""The examples run, each in a process of its own, and what they print is true; where a package is missing they skip."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import maskcl

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOK = FOLDER / "masked_softmax.ipynb"
NEEDS = {
    "plain_pytorch": (),
    "lightning_module": ("lightning",),
    "hugging_face_trainer": ("transformers", "accelerate"),
    "avalanche_plugin": ("avalanche",),
}
LINE = re.compile(
    r"^(final accuracy|forgetting) +no mask (\S+)  leak \S+ (\S+)  difference (\S+) ± (\S+)$", re.MULTILINE
)


def python(*arguments: str, folder: Path) -> str:
    """What a Python of its own prints, in a folder that is not the repository."""
    paths = {"PYTHONPATH": str(Path(maskcl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=os.environ | paths, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def need(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; make examples installs what the examples need")


def figures(printed: str) -> dict[str, list[float]]:
    """Without the mask, with it, difference, half its interval, by metric."""
    return {match[1]: [float(number) for number in match.groups()[1:]] for match in LINE.finditer(printed)}


@pytest.mark.parametrize("name", NEEDS)
def test_the_mask_lessens_forgetting_and_a_checkpoint_goes_on_to_the_same_weights(name: str, tmp_path: Path) -> None:
    need(*NEEDS[name])
    printed = python(str(FOLDER / f"{name}.py"), "3", folder=tmp_path)
    found = figures(printed)
    assert found.keys() == {"final accuracy", "forgetting"}
    for plain, masked, difference, _ in found.values():
        assert difference == pytest.approx(masked - plain, abs=0.11)  # each is rounded by itself
    assert found["forgetting"][2] < -2
    assert found["final accuracy"][0] > 50  # ten classes, two of them learnt last: fine-tuning has 20
    assert printed.splitlines()[-1] == "continued from a checkpoint: same weights True"
    assert list(tmp_path.iterdir()) == []  # nothing is left lying about


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain_pytorch", "avalanche_plugin"])
def test_the_gain_in_accuracy_excludes_zero_with_ten_seeds(name: str, tmp_path: Path) -> None:
    need(*NEEDS[name])
    found = figures(python(str(FOLDER / f"{name}.py"), folder=tmp_path))
    assert found["final accuracy"][2] > found["final accuracy"][3]
    assert found["forgetting"][2] < -found["forgetting"][3]


@pytest.mark.slow
def test_the_index_shows_what_the_first_example_prints(tmp_path: Path) -> None:
    found = figures(python(str(FOLDER / "plain_pytorch.py"), folder=tmp_path))
    shown = figures((FOLDER / "README.md").read_text(encoding="utf-8"))
    assert shown.keys() == found.keys()
    for metric, numbers in shown.items():
        assert numbers == pytest.approx(found[metric], abs=1.5)  # another machine rounds otherwise


def test_avalanches_rows_are_masked_where_they_are_new_and_in_training_alone(tmp_path: Path) -> None:
    need("avalanche")
    code = f"""
import runpy, sys, types, torch
from maskcl.functional import cross_entropy, masked_cross_entropy
sys.argv = ["avalanche_plugin", "0"]
masked = runpy.run_path({str(FOLDER / "avalanche_plugin.py")!r})["MaskedSoftmax"](0.2)
logits, labels = torch.randn(6, 5), torch.tensor([3, 4, 0, 1, 3, 2])
experience = types.SimpleNamespace(classes_in_this_experience={{3, 4}})
masked.before_training_exp(types.SimpleNamespace(experience=experience, device="cpu"))
new = labels >= 3
parts = [masked_cross_entropy(logits[new], labels[new], torch.arange(5) >= 3, leak=0.2)]
parts += [cross_entropy(logits[~new], labels[~new])]
torch.testing.assert_close(masked(logits, labels), torch.cat(parts).mean())
masked.after_training_exp(None)
torch.testing.assert_close(masked(logits, labels), cross_entropy(logits, labels).mean())
print("held")
"""
    assert python("-c", code, folder=tmp_path) == "held\n"


def outputs(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def test_the_notebook_is_committed_as_it_ran_from_top_to_bottom() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [kind for cell in cells for kind in [output["output_type"] for output in cell["outputs"]]] == [
        "stream", "stream", "display_data"
    ]  # fmt: skip
    assert NOTEBOOK.stat().st_size < 50_000


def test_the_notebook_runs_again_to_what_it_shows(tmp_path: Path) -> None:
    need("nbclient", "ipykernel")
    again = tmp_path / NOTEBOOK.name
    again.write_bytes(NOTEBOOK.read_bytes())
    python("-c", "from nbclient.cli import main; main()", "--inplace", str(again), folder=tmp_path)
    number = re.compile(r"[+−-]?\d+\.\d+")
    for old, new in zip(outputs(NOTEBOOK), outputs(again), strict=True):
        assert old["output_type"] == new["output_type"]
        texts = ["".join(output.get("text", "")) for output in (old, new)]
        words = [re.sub(r"\s+", " ", number.sub("#", text)) for text in texts]
        assert words[0] == words[1]
        shown, found = ([float(x.replace("−", "-")) for x in number.findall(text)] for text in texts)
        assert found == pytest.approx(shown, abs=1.5)  # another machine rounds otherwise


def test_the_index_names_every_example() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[(\S+)\]\(\1\) \|", index, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".py", ".ipynb"))
    assert {Path(name).stem for name in named} == {*NEEDS, NOTEBOOK.stem}


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_begins_with_what_it_shows_and_its_command_and_imports_public_names(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert re.match(rf'"""\S.+\.\n\n(    pip install .+\n)?    python examples/{name}\.py\n\n', text)
    imports = re.findall(r"^from (maskcl\S*) import (.+)$", text, re.MULTILINE)
    names = [(module, one.strip()) for module, line in imports for one in line.split(",")]
    assert [pair for pair in names if pair[1] not in importlib.import_module(pair[0]).__all__] == []
    assert re.findall(r"maskcl\.\w*\._|import _", text) == []
