"""What publishers offer for download. Nothing here imports the network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Archive"]


@dataclass(frozen=True)
class Archive:
    """What a publisher offers for download.

    Attributes:
        url: Its address.
        md5: Of the archive, as the publisher or public code states it.
        folder: The one folder in it.
    """

    url: str
    md5: str
    folder: str

    @property
    def file(self) -> str:
        """Its name."""
        return self.url.rsplit("/", 1)[-1]
