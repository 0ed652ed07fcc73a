"""Networks whose layers look at more than one row, or at places among rows: what a share has to be told."""

from __future__ import annotations

from torch import Tensor, nn


class Normed(nn.Module):
    """A convolutional network with BatchNorm, one layer of which keeps a cumulative average and one no statistics."""

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(shape[0], 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=None), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.end = nn.Sequential(nn.Linear(4 * shape[1] * shape[2], 8), nn.BatchNorm1d(8, affine=False))
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.end(self.body(x)).relu())


class Unkept(Normed):
    """One that has batch statistics in evaluation too."""

    def __init__(self, shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(shape, num_classes)
        self.end[1] = nn.BatchNorm1d(8, track_running_stats=False)


def dropping(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    size = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, num_classes)
    )


def keeping(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.InstanceNorm2d(shape[0], track_running_stats=True), nn.Flatten(),
        nn.Linear(shape[0] * shape[1] * shape[2], num_classes),
    )  # fmt: skip
