from __future__ import annotations

import inspect

import pytest

from maskcl import errors
from maskcl.errors import (
    ConfigError,
    DataError,
    MaskclError,
    MissingDataError,
    ShapeError,
    check,
    check_choice,
    message,
)


def test_every_error_is_in_the_drawn_tree_and_a_value_error_or_base() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MaskclError)]
    assert len(kinds) == 5
    for kind in kinds:
        assert kind.__name__ in (errors.__doc__ or "")
        assert kind is MaskclError or issubclass(kind, ValueError)


def test_missing_data_is_a_missing_file_too_and_reads_as_its_sentence() -> None:
    error = MissingDataError("mnist: must be there.")
    assert isinstance(error, FileNotFoundError)
    assert str(error) == "mnist: must be there."


def test_a_message_says_where_what_must_hold_what_was_given_and_what_to_do() -> None:
    text = message("[method] alfa", "must be a key of 'der'", "alfa", choices=["alpha", "beta"], hint="see the page")
    assert text == "[method] alfa: must be a key of 'der', got 'alfa'. Did you mean 'alpha'?\nhint: see the page"


def test_none_can_be_what_was_given() -> None:
    assert message("a", "must be given", None) == "a: must be given, got None."
    assert message("a", "must be given") == "a: must be given."


@pytest.mark.parametrize("name", ["zzz", "", 7, None])
def test_nothing_close_is_not_guessed(name: object) -> None:
    assert "Did you mean" not in message("a", "must be one of alpha, beta", name, choices=["alpha", "beta"])


@pytest.mark.parametrize("kind", [ConfigError, DataError, ShapeError])
def test_check_raises_its_kind_only_where_it_does_not_hold(kind: type[MaskclError]) -> None:
    check(True, "x", "must hold", 1, error=kind)
    with pytest.raises(kind, match=r"x: must hold, got 1\."):
        check(False, "x", "must hold", 1, error=kind)


def test_a_choice_outside_names_all_and_the_nearest() -> None:
    check_choice("er", "method.name", ["er", "der"])
    with pytest.raises(
        ConfigError, match=r"method.name: must be one of er, derpp, got 'derp'\. Did you mean 'derpp'\?"
    ):
        check_choice("derp", "method.name", {"er": 1, "derpp": 2})
    with pytest.raises(ConfigError, match=r"must be one of er, got \['er'\]"):
        check_choice(["er"], "method.name", ["er"])
