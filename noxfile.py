"""The fast tests on every Python that is installed: `nox`, or `nox -s tests-3.12` for one.

Not of `make test`, which takes one Python. What pip fetches as PyTorch on each is told in docs/install.md.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install what constraints.txt pins, and run the fast tests."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.run("pytest", "-n", "2", "-m", "not slow", env={"OMP_NUM_THREADS": "1"})
