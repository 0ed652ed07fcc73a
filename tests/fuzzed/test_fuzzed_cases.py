"""500 cases of `make fuzz`, always the same ones; and that a broken promise would be told, of each kind of it."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import fuzz
import numpy as np
import pytest
from fuzzing import judging
from fuzzing.cases import SHARES, kind_of, verdict
from fuzzing.files import KINDS
from fuzzing.judging import judged_call, judged_command, limited

from maskcl.errors import ConfigError, DataError
from maskcl.experiment import in_process, planning

SEED, CASES, SLICES = 17, 500, 10


@pytest.mark.parametrize("part", range(SLICES))
def test_every_case_is_valid_or_refused_in_one_sentence(part: int) -> None:
    faults, outcomes = [], Counter[str]()
    for number in range(part * CASES // SLICES, (part + 1) * CASES // SLICES):
        found = verdict(SEED, number)
        outcomes[found.outcome] += 1
        if found.faults:
            faults.append((f"make fuzz SEED={SEED} FIRST={number} CASES=1", *found.faults))
    assert not faults
    assert min(outcomes["valid"], outcomes["refused"]) >= 5, "cases are of both sorts"


def test_the_cases_are_of_all_kinds() -> None:
    kinds = Counter(kind_of(SEED, number) for number in range(CASES))
    assert set(kinds) == {*SHARES, *KINDS}
    assert min(kinds.values()) >= 10


def test_a_case_is_a_function_of_its_numbers() -> None:
    for number in range(CASES):
        if kind_of(SEED, number) in ("idx", "cifar", "picture", "weights"):
            assert verdict(SEED, number).outcome == verdict(SEED, number).outcome
    first, again, other = (fuzz_bytes(seed) for seed in (1, 1, 2))
    assert first == again != other


def fuzz_bytes(seed: int) -> bytes:
    from fuzzing.damage import damaged

    return damaged(bytes(range(256)), Random(seed), 3)


def files(
    folder: Path, text: str = 'method = "er"\n[scenario]\nsubset = 0.05\n[training]\nbatch_size = 2\n'
) -> list[str]:
    (folder / "a.toml").write_text(text)
    return ["run", str(folder / "a.toml"), "--out", str(folder / "out"), "--executor", "loop", "--seeds", "1"]


def judged(folder: Path, argv: list[str], *named: str) -> Any:
    with limited():
        return judged_command(argv, folder / "out", named or ("a.toml",))


def test_a_run_is_valid_and_a_refusal_is_refused(tmp_path: Path) -> None:
    found = judged(tmp_path, files(tmp_path))
    assert (found.outcome, found.faults) == ("valid", ())
    (tmp_path / "b").mkdir()
    found = judged(tmp_path / "b", files(tmp_path, "method = 3"), "method")
    assert (found.outcome, found.faults) == ("refused", ())


def test_a_long_run_is_stopped(tmp_path: Path) -> None:
    found = judged(tmp_path, [*files(tmp_path), "--set", "training.epochs=500"])
    assert (found.outcome, found.faults) == ("stopped", ())


def test_what_needs_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    found = judged(tmp_path, [*files(tmp_path), "--set", "memory.size=100_000_000"])
    assert (found.outcome, found.faults) == ("refused", ())
    assert "must fit into" in found.said


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (KeyError("x"), "KeyError"),
        (ConfigError("a.toml: no full stop"), "no sentence"),
        (ConfigError("a.toml: one.\ntwo.\nthree."), "more than a sentence"),
        (ConfigError("Something else is wrong."), "names none"),
        (ConfigError("a.toml: \x1b[31m."), "control characters"),
        (ConfigError(f"a.toml: {'x' * 5000}."), "a sentence of 5009 letters"),
    ],
)
def test_a_refusal_in_other_words_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(planning, "parse", broken)
    assert [fault for fault in judged(tmp_path, files(tmp_path)).faults if told in fault]


def test_half_a_file_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, result: Any) -> None:
        path.parent.mkdir(parents=True)
        path.write_text("{")
        path.with_suffix(".tmp").touch()

    monkeypatch.setattr(in_process, "write_result", half)
    faults = " ".join(judged(tmp_path, files(tmp_path)).faults)
    assert "a result that cannot be read" in faults
    assert "left: " in faults


def test_results_of_what_is_refused_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    assert judged(tmp_path, files(tmp_path, "method = 3"), "method").faults == ("written, and refused: x",)


def test_warnings_of_others_and_much_memory_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "RuntimeWarning" in judged_call(lambda: np.float64(1) / np.float64(0), "x").faults[0]
    assert judged_call(lambda: warnings.warn("ours", judging.MaskclWarning, stacklevel=1), "x").faults == ()
    monkeypatch.setattr(judging, "MOST_GROWTH", -1)
    assert "MB" in judged_call(lambda: None, "x").faults[0]


def test_a_sentence_has_to_name_the_file() -> None:
    def refuse() -> None:
        raise DataError("a.npz: must be whole.")

    assert judged_call(refuse, "a.npz") == judging.Verdict("refused", "a.npz: must be whole.")
    assert judged_call(refuse, "b.npz").faults


def test_a_loop_without_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MOST_SECONDS", 0.02)

    def endless() -> None:
        while True:
            pass

    assert "EndlessError" in judged_call(endless, "x").faults[0]


def test_the_command_prints_a_table_and_how_to_try_a_faulty_case_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("CASES", "3"), ("SEED", "5"), ("FIRST", "7")):
        monkeypatch.setenv(name, value)
    faulty = {8: judging.Verdict("refused", "", ("a traceback",))}
    monkeypatch.setattr(fuzz, "verdict", lambda seed, number: faulty.get(number, judging.Verdict("valid")))
    assert fuzz.main() == 1
    out = capsys.readouterr().out
    assert "make fuzz SEED=5 FIRST=8 CASES=1\n    a traceback\n" in out
    assert "| all | 2 | 1 | 0 | 0 |" in out
    assert "3 cases of seed 5, from 7: 1 with faults" in out
    faulty.clear()
    assert fuzz.main() == 0
