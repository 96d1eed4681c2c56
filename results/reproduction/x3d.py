"""X3D-XL as its paper describes it (Feichtenhofer, CVPR 2020, arXiv 2004.04730), for its costs.

No weights are needed: multiply-adds, parameters and memory follow from the layers. Widths are those of X2D
(12, 24, 48, 96) times 2.9, rounded to multiples of 8; the depths 1, 2, 5, 3 times 5; the inner width of a
block is 2.25 times its own. Squeeze-excitation is in every other block, with a sixteenth of the inner width,
rounded to a multiple of 8. Time has no stride.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

FRAMES, SIZE, VIEWS = 16, 312, 30
WIDTHS, DEPTHS = (32, 72, 136, 280), (5, 10, 25, 15)
INNER, SQUEEZE, HIDDEN, STEM = 2.25, 16, 2048, 32
STEM_TIME = 5
"""Frames of the stem's kernel in time. The paper's table has 3, the authors' code 5: 0.02 % of the costs."""


class X3DXL(nn.Module):
    """The network, for clips of 16 frames of 312 x 312 pixels.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int = 600) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, STEM, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
            nn.Conv3d(STEM, STEM, (STEM_TIME, 1, 1), padding=(STEM_TIME // 2, 0, 0), groups=STEM, bias=False),
            nn.BatchNorm3d(STEM),
            nn.ReLU(),
        )
        blocks, width = [], STEM
        for out, depth in zip(WIDTHS, DEPTHS, strict=True):
            for position in range(depth):
                blocks.append(_Block(width, out, 2 if position == 0 else 1, squeezed=position % 2 == 0))
                width = out
        self.blocks = nn.Sequential(*blocks)
        last = round(INNER * width)
        self.head = nn.Sequential(
            nn.Conv3d(width, last, 1, bias=False),
            nn.BatchNorm3d(last),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Conv3d(last, HIDDEN, 1, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Map clips (batch, 3, frames, size, size) to logits (batch, classes)."""
        logits: Tensor = self.head(self.blocks(self.stem(clip)))
        return logits


class _Block(nn.Module):
    """A bottleneck: expand, 3x3x3 depthwise, squeeze-excitation in every other one, project, add."""

    def __init__(self, width: int, out: int, stride: int, *, squeezed: bool) -> None:
        super().__init__()
        inner = round(INNER * out)
        self.expand = nn.Sequential(nn.Conv3d(width, inner, 1, bias=False), nn.BatchNorm3d(inner), nn.ReLU())
        self.depthwise = nn.Sequential(
            nn.Conv3d(inner, inner, 3, (1, stride, stride), 1, groups=inner, bias=False),
            nn.BatchNorm3d(inner),
        )
        self.squeeze = _Squeeze(inner) if squeezed else None
        self.project = nn.Sequential(nn.Conv3d(inner, out, 1, bias=False), nn.BatchNorm3d(out))
        self.skip = (
            nn.Sequential(nn.Conv3d(width, out, 1, (1, stride, stride), bias=False), nn.BatchNorm3d(out))
            if stride > 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        if self.squeeze is not None:
            y = self.squeeze(y)
        y = self.project(F.silu(y))
        return F.relu(y + (x if self.skip is None else self.skip(x)))


class _Squeeze(nn.Module):
    """Squeeze-excitation over time and space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(8, int(width / SQUEEZE + 4) // 8 * 8)
        hidden += 8 if hidden < 0.9 * width / SQUEEZE else 0
        self.reduce, self.expand = nn.Conv3d(width, hidden, 1), nn.Conv3d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3, 4), keepdim=True))))
        gated: Tensor = x * gate.sigmoid()
        return gated
