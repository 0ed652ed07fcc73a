"""`python -m maskcl`: the command line, where the installed command is not on the path."""

from maskcl.cli import entry

if __name__ == "__main__":
    entry()
