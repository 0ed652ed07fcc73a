"""data: which data sets are there, getting them, decoding their pictures, checking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from maskcl.cli.console import DataRoot, Quiet, note, pictures_progress, print_table, progress
from maskcl.errors import DataError, check, check_choice, message

if TYPE_CHECKING:
    from maskcl.data import FolderData

__all__ = ["data"]

Name = Annotated[str, typer.Argument(help="Data set; `maskcl data list` shows which there are.", metavar="NAME")]
NameOrFolder = Annotated[
    str, typer.Argument(help="Data set, or a folder with train/CLASS/* pictures.", metavar="NAME_OR_FOLDER")
]
ImageSize = Annotated[
    int | None, typer.Option("--image-size", metavar="N", help="Bring a folder's pictures to N x N pixels.")
]
HeldOut = Annotated[
    float | None,
    typer.Option("--held-out", metavar="SHARE", help="Judge by this share of a folder that has no test and no val."),
]
SplitSeed = Annotated[int, typer.Option("--split-seed", metavar="N", help="Chooses what is held out.")]
Skip = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out a folder's pictures that cannot be used.")]

data = typer.Typer(
    help="List data sets, get them, decode their pictures, check them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@data.callback()
def _data(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@data.command("list")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets and whether they are there, then the decoded pictures."""
    from maskcl.data import available, caches

    rows = []
    for found in available(data_root):
        info = found.info
        known = info.num_train is not None  # what was registered as a function tells once it is loaded
        classes, train, test = found.sizes or (info.num_classes, info.num_train, info.num_test)
        counts = [f"{train} + {test}", str(classes)] if known else ["", ""]
        rows.append([info.name, info.description, *counts, found.state])
    print_table(["name", "what", "rows", "classes", "state"], rows)
    decoded = [
        [c.name, str(c.num_rows), f"{c.num_bytes / 1e6:.1f} MB", c.state, str(c.folder)] for c in caches(data_root)
    ]
    if decoded:
        print()
        print_table(["decoded", "rows", "size", "state", "where"], decoded)


@data.command("prepare")
def data_prepare(
    name: NameOrFolder,
    image_size: ImageSize = None,
    held_out: HeldOut = None,
    split_seed: SplitSeed = 0,
    skip_unreadable: Skip = False,
    data_root: DataRoot = None,
    quiet: Quiet = False,
) -> None:
    """Decode the pictures of a data set, so that runs begin at once."""
    from maskcl.data import DATASETS

    given = {"--image-size": image_size, "--held-out": held_out, "--split-seed": split_seed or None,
             "--skip-unreadable": skip_unreadable or None}  # fmt: skip
    if name in DATASETS:
        for option, value in given.items():
            check(value is None, option, f"must be left out for {name!r}, which is no folder", value)
        with pictures_progress(quiet=quiet) as told:
            loaded = DATASETS[name].load(data_root, on_progress=told)
    else:
        settings = _folder(name, image_size, held_out, split_seed, skip_unreadable)
        with pictures_progress(quiet=quiet) as told:
            loaded = settings.load(data_root, on_progress=told)
    shape = " x ".join(map(str, loaded.input_shape))
    print(
        f"{loaded.name}: {len(loaded.train_labels)} + {len(loaded.test_labels)} rows of {shape}, "
        f"{loaded.num_classes} classes, ready"
    )


@data.command("verify")
def data_verify(
    name: NameOrFolder,
    image_size: ImageSize = None,
    held_out: HeldOut = None,
    data_root: DataRoot = None,
    quiet: Quiet = False,
) -> None:
    """Check a data set's files, and what was decoded of them; exits with 2 if something is not whole."""
    from maskcl.data import DATASETS, caches, verify
    from maskcl.data.cache import check_cache, file_name
    from maskcl.data.check_pictures import check_pictures
    from maskcl.data.source import command

    with pictures_progress(quiet=quiet) as told:
        if name in DATASETS:
            for option, value in (("--image-size", image_size), ("--held-out", held_out)):
                check(value is None, option, f"must be left out for {name!r}, which is no folder", value)
            states, called = verify(name, data_root, on_progress=told), name
        else:
            pictures = _folder(name, image_size, held_out).find()
            states, called = check_pictures(pictures, told), pictures.name
    if not states:
        print(_without_files(name))
        return
    rows = [[s.file, s.state, "" if s.path is None else str(s.path)] for s in states]
    problems = [s.problem or f"{s.file}: must be whole, and is {s.state}." for s in states if s.state not in _GOOD]
    for cache in caches(data_root):
        if cache.name == file_name(called):
            problem = check_cache(cache)
            rows.append(["decoded pictures", "intact" if problem is None else "damaged", str(cache.folder)])
            problems += (
                [] if problem is None else [f"{problem}\nhint: `{command('clear', called, data_root)}` removes it"]
            )
    print_table(["file", "state", "where"], rows)
    if any(state.state == "unchecked" for state in states) and not quiet:
        note("unchecked: sizes and labels are right; checksums are known of what `maskcl data download` has brought")
    if problems:
        raise DataError(problems[0])


_GOOD = ("intact", "unchecked")


@data.command("download")
def data_download(name: Name, data_root: DataRoot = None, quiet: Quiet = False) -> None:
    """Download what is missing or damaged of a data set; what broke off goes on where it was."""
    from maskcl.data import DATASETS, download

    check_choice(name, "data set", DATASETS, error=DataError)
    if DATASETS[name].source is None:
        print(_without_files(name))
        return
    received: dict[str, int] = {}
    with progress(name, None, "MB", quiet=quiet) as advance:

        def note_bytes(file: str, so_far: int, total: int | None) -> None:
            if advance is not None:
                advance((so_far - received.get(file, 0)) / 1e6)
                received[file] = so_far

        files = download(name, data_root, on_progress=note_bytes)
    rows = [[str(f.path), "fetched" if f.fetched else "was there", f"{f.num_bytes / 1e6:.1f} MB"] for f in files]
    print_table(["file", "", "size"], rows)


@data.command("clear")
def data_clear(
    name: Annotated[
        str | None,
        typer.Argument(help="Data set or folder; left out: all.", metavar="[NAME_OR_FOLDER]"),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Remove decoded pictures; the pictures themselves stay."""
    from maskcl.data import DATASETS, caches, clear_caches

    there = sorted({cache.name for cache in caches(data_root)})
    called = None if name is None else _called(name)
    if there and called is not None:
        check_choice(called, "data set", there, error=DataError)
    elif name is not None and not _is_known(name):
        must = f"must be a folder of pictures, or one of {', '.join(DATASETS)}"
        raise DataError(message("data set", must, name, choices=DATASETS))
    gone = clear_caches(called, data_root)
    print_table(["removed", "size"], [[str(c.folder), f"{c.num_bytes / 1e6:.1f} MB"] for c in gone])


def _folder(
    name: str,
    image_size: int | None = None,
    held_out: float | None = None,
    split_seed: int = 0,
    skip_unreadable: bool = False,
) -> FolderData:
    """The settings of a folder; what is neither that nor a name is refused with the nearest name."""
    from maskcl.data import DATASETS, FolderData

    if not _is_known(name):
        must = f"must be a folder of pictures, or one of {', '.join(DATASETS)}"
        raise DataError(message("data set", must, name, choices=DATASETS))
    return FolderData(name, image_size, held_out, split_seed, skip_unreadable)


def _is_known(name: str) -> bool:
    """Whether something is the name of a data set, or a folder."""
    from maskcl.data import DATASETS
    from maskcl.data.source import expand, is_folder

    return name in DATASETS or is_folder(expand(name))


def _called(name: str) -> str:
    """What the caches of a name or a folder are called."""
    from maskcl.data import DATASETS, FolderData
    from maskcl.data.cache import file_name

    folder = name not in DATASETS and _is_known(name)
    return file_name(FolderData(name).path.name if folder else name)


def _without_files(name: str) -> str:
    from maskcl.data import DATASETS

    return f"{name} is built in" if DATASETS[name].built_in else f"{name} is registered, and its files are its loader's"
