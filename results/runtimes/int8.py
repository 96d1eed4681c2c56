"""Which layers are computed in 8 bits: the rule that all runtimes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

_PER_ELEMENT = 32
"""Multiply-adds for each element of its images, which are converted, from which a layer gains."""
_WEIGHTS = 4096
"""Weights from which a layer gains whose image is one pixel: loading them is most of its work."""

Name = TypeVar("Name")


class DenseLayer(NamedTuple):
    """A dense layer of a file.

    Attributes:
        inputs: products that an element of its output sums: input channels times the size of the kernel.
        outputs: output channels.
        pixels: pixels of its output, of all images.
    """

    inputs: int
    outputs: int
    pixels: int

    @property
    def gains(self) -> bool:
        """Whether it gains more in 8 bits than the conversion of its images costs.

        Measured on A0 and A2 as streams, on an x86 processor with instructions for 8 bits: with all dense
        layers in 8 bits a frame takes 0.76 and 0.80 of float32's time in LiteRT, with those that gain alone
        0.66 and 0.75. Depthwise convolutions and sums do not gain there.
        """
        if self.pixels == 1:
            return self.inputs * self.outputs >= _WEIGHTS
        return self.inputs * self.outputs / (self.inputs + self.outputs) >= _PER_ELEMENT


def in_8_bits(layers: Sequence[tuple[Name, DenseLayer]]) -> list[Name]:
    """Return the names of the layers that gain, or of all if none does: whoever asks for 8 bits gets them."""
    gaining = [name for name, layer in layers if layer.gains]
    return gaining or [name for name, _ in layers]
