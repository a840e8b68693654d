"""Small modules and functions that give them, as users write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Images(nn.Module):
    """Convolutions, normalization, pooling and a linear head: what vision modules are made of."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(8, 32)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.body(image)
        return {"scores": self.head(features), "features": features}


class Words(nn.Module):
    """A table and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 32)
        self.linear = nn.Linear(32, 32)

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(self.table(ids)).mean(dim=1)


class Plain(nn.Module):
    """Nothing that a recipe could compress."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) * 2


IDS = torch.arange(8)[None]


def images() -> object:
    return Images(), {"image": torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


def words() -> object:
    return Words(), (IDS,)


def varying() -> object:
    return Words(), (IDS,), {"ids": {1: torch.export.Dim("length", max=16)}}


def unbounded() -> object:
    return Words(), (IDS,), {"ids": {1: torch.export.Dim("length")}}


class Pairs(nn.Module):
    """Two texts of one length, of at most twelve places, and rows of them that vary, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = Words()
        self.places = nn.Parameter(torch.randn(12, 32))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        known = self.words.table(ids) + self.places[: ids.shape[1]]
        scores = self.words.linear(known) * mask[..., None]
        return scores, scores.mean(dim=1)


def pairs(most: int = 12) -> object:
    rows, length = torch.export.Dim("rows", max=4), torch.export.Dim("length", max=most)
    shape = {0: rows, 1: length}
    inputs = {"ids": torch.arange(16).reshape(2, 8), "mask": torch.ones(2, 8)}
    return Pairs(), inputs, {"ids": shape, "mask": shape}


def too_wide() -> object:
    return pairs(most=16)


def hinted() -> object:
    """What varies in these is tied by the code alone, and twelve places are the most."""
    module, inputs, _ = pairs()  # type: ignore[misc]
    some, any_ = torch.export.Dim.DYNAMIC, torch.export.Dim.AUTO
    rows = torch.export.Dim("rows", max=4)
    dynamic = {"ids": {0: some(max=9), 1: some(max=128)}, "mask": {0: rows, 1: any_(max=64)}}
    return module, inputs, dynamic


class Halves(nn.Module):
    """Convolutions of an image whose sides are multiples of four, halved and doubled again."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.up(torch.relu(self.down(image)))


def halves() -> object:
    side = 4 * torch.export.Dim("side", min=1, max=8)
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Halves(), image, {"image": {2: side, 3: side}}


class Narrow(nn.Module):
    """Pads by a mirror, which needs two places at least."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x[None], (1, 1), mode="reflect")


def narrow() -> object:
    return Narrow(), torch.ones(1, 4), {"x": {1: torch.export.Dim("places", max=9)}}


def plain() -> object:
    return Plain(), torch.ones(1, 4)


def alone() -> object:
    return Words()


def wrong_name() -> object:
    return Words(), {"text": IDS}


def no_tensor() -> object:
    return Words(), ("text",)


def no_inputs() -> object:
    return Words(), ()


def wrong_shape() -> object:
    return Images(), torch.ones(1, 2, 8, 8)


def damaged() -> object:
    module = Words()
    module.linear.bias.data[3] = float("nan")
    return module, (IDS,)


def unwell() -> object:
    raise ValueError("no weights here")


NOT_A_FUNCTION = 1
