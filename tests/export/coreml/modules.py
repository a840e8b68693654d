"""Small modules to send through the generic path."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scores(nn.Module):
    """An embedding, a norm and a linear layer: what classifiers are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 32)
        self.norm = nn.LayerNorm(32)
        self.linear = nn.Linear(32, 8)
        nn.init.normal_(self.norm.weight)

    def forward(self, ids: Tensor, weights: Tensor) -> Tensor:
        return self.linear(self.norm(self.table(ids) * weights[..., None])).mean(dim=1)


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x * 2


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("this model is unwell")


class Unlowerable(nn.Module):
    """An operator that Core ML has no form of."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x @ x.T)


class Shapeless(nn.Module):
    """Gives as many rows as there are values that are not zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x.nonzero()


class Texts(nn.Module):
    def forward(self, x: Tensor) -> str:
        return "text"


class Windowed(nn.Module):
    """Attention of a window over a text that is filled up; masks as transformers makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.zeros(6, 6))
        far = (torch.arange(6)[:, None] - torch.arange(6)).abs() > 1
        self.window[far] = torch.finfo(torch.float32).min

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        lowest = torch.finfo(torch.float32).min
        filling = torch.where(mask > 0, 0.0, lowest)
        seen = (x @ x.T + filling + self.window.clamp(min=lowest)).softmax(dim=-1)
        return ((seen @ x) * mask[:, None]).sum(dim=0)


class Positioned(nn.Module):
    """A convolution with its norm, cosines of positions and a root: none of them float16's."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(4, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 8)
        generator = torch.Generator().manual_seed(0)
        for value in (*self.parameters(), *self.norm.buffers()):
            if value.is_floating_point():
                value.data.uniform_(0.3, 1.7, generator=generator)
        self.register_buffer("frequency", torch.linspace(0.1, 0.9, 16)[:, None], persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        found = self.norm(self.convolution(x))
        cosines = torch.cos(self.frequency * torch.arange(x.shape[-1]))
        return (self.head((found * cosines / 96**0.5).transpose(1, 2)),)
