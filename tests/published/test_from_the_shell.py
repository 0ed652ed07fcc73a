"""What docs/howto/from-the-shell.md prints of handwritten digits comes out of its own commands (`make test-slow`)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from maskcl.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "from-the-shell.md"


@pytest.mark.slow
def test_digits_are_learnt_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(from pathlib.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})
    printed = []
    for line in re.findall(r"^\$ maskcl (\w+ digits.*)$", page, re.MULTILINE):
        argv = [*line.split(), "-q"] + (["--format", "json"] if line.startswith("evaluate") else [])
        assert main(argv) == 0
        printed.append(capsys.readouterr().out)
    _, second, judged = printed
    (shown,) = re.findall(r"^```text\n(new classes.*?)^```", page, re.MULTILINE | re.DOTALL)
    without_time = re.compile(r", [\d.]+ seconds")
    assert without_time.sub("", second).split() == without_time.sub("", shown).split()
    right, of = map(int, re.findall(r"that (\d+) of (\d+) pictures", page)[0])
    found = json.loads(judged)
    assert found["pictures"] == of
    assert found["right"] == pytest.approx(right, abs=18)  # 3 points: machines round differently
