"""Which layers are faster in 8 bits: the rule that all runtimes share."""

from __future__ import annotations

_PER_ELEMENT = 32
"""Multiply-adds for each element of its images, which are converted, from which a layer gains."""
_WEIGHTS = 4096
"""Weights from which a layer gains whose image is one pixel: loading them is most of its work."""


def gains(inputs: int, outputs: int, pixels: int) -> bool:
    """Return whether a dense layer gains more in 8 bits than the conversion of its images costs.

    Measured on A0 and A2 as streams, on an x86 processor with instructions for 8 bits: with the layers that
    this leaves in float32 as well, a frame takes 0.76 and 0.80 of float32's time in LiteRT, without them 0.66
    and 0.75. Depthwise convolutions and sums never gain there.

    Args:
        inputs: products that an element of its output sums: input channels times the size of the kernel.
        outputs: output channels.
        pixels: pixels of its output, of all images.
    """
    if pixels == 1:
        return inputs * outputs >= _WEIGHTS
    return inputs * outputs / (inputs + outputs) >= _PER_ELEMENT
