"""The command line: no logic of its own.

Data go to stdout, everything else to stderr. Exit status 0; 2 for bad input, said in one sentence; 3 where runs
diverged or failed; 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP; 1 of `repeat` for a run that is not identical.
Commands import what they need when they run, so that help needs no torch; this module imports nothing, for Ctrl-C may
come at any moment.
"""

from __future__ import annotations

import sys

__all__ = ["entry", "main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    >>> main(["methods", "era"])
    2
    """
    try:
        from maskcl.cli.commands import run

        return run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # while that was imported, or as it ended
        print("stopped", file=sys.stderr)
        return 130


def entry() -> None:
    """What the installed command calls."""
    sys.exit(main())
