"""Small modules to export whole, and those that cannot be."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Tagger(nn.Module):
    """A table, two linear layers (one of them used twice) and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = nn.Embedding(50, 64)
        self.first = nn.Linear(64, 64)
        self.again = self.first
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(64, 7)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Scores float32 [1, L, 7] and labels int64 [1, L] of tokens int64 [1, L]."""
        hidden = functional.gelu(self.first(self.table(tokens)))
        scores = self.last(self.drop(self.again(hidden)))
        return scores, scores.argmax(-1)


class Images(nn.Module):
    """Convolution, normalization of a batch, pooling."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.last = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.conv(images)))
        return self.last(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Counter(nn.Module):
    """Keeps a number from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(1.0)
        return x + self.count


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x + 1
        return x - 1


class Loop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x[0, 0])):
            x = x + 1
        return x


class NoKernel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


@torch.library.custom_op("slmdeploy_test::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return x * 2


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class NoOutVariant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return twice(x)


class Positive(nn.Module):
    """As many outputs as there are positive inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0]


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x)


class Named(nn.Module):
    """Gives a text as well."""

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x + 1, "name"


class Faulty(nn.Module):
    """Wants three columns, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Foreign(nn.Module):
    """Leaves torch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy() + 1)
