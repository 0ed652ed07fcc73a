from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the experiment was run, and nothing happened to it."""
    from faults.commands import Command, left_over, prepared

    folder = prepared(tmp_path_factory.mktemp("whole"))
    command = Command(folder, "-q")
    assert command.status() == 0, command.err
    assert command.err == ""
    assert left_over(folder) == []
    return folder
