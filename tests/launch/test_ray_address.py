"""The address of a Ray cluster is tried before Ray is: that takes minutes to give up."""

from __future__ import annotations

import socket

import pytest

from maskcl.errors import ConfigError
from maskcl.launch.on_ray import check_address


@pytest.fixture
def port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_a_cluster_that_does_not_answer_is_refused_at_once(form: str, port: int) -> None:
    with pytest.raises(ConfigError, match="RAY_ADDRESS: must be the address of a running Ray cluster") as caught:
        check_address(form.format(port))
    assert "nothing answers there" in str(caught.value)


def test_a_port_that_no_machine_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="RAY_ADDRESS"):
        check_address("127.0.0.1:99999")


def test_one_that_answers_is_left_to_ray() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        check_address(f"127.0.0.1:{listening.getsockname()[1]}")


@pytest.mark.parametrize("address", ["", "auto", "local", "ray://head", "head:"])
def test_other_words_are_left_to_ray(address: str) -> None:
    check_address(address)
