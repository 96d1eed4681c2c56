"""The network of an Architecture, in two forms of one function: whole clips, and frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from search_space.architecture.architecture import Architecture
from search_space.errors import NetworkError
from search_space.network.bottleneck import Bottleneck
from search_space.network.convolution import check_clip, fold_frames, is_recording, strided
from search_space.network.frame_step import FrameStep
from search_space.network.heads import Head, as_head
from search_space.network.layers import ConvNorm
from search_space.network.plain import PlainMoViNet, copy_weights
from search_space.network.pool_head import PoolHead
from search_space.network.stream_state import COUNT_DTYPE, Memory, State, check_state

STEM_STRIDE = 2


class MoViNet(nn.Module):
    """A mobile video network (Kondratyuk et al., 2021), built by ``build``.

    Attributes:
        architecture: the architecture that it was built from.
        head_type: meaning of its outputs.
        classes: number of its outputs.
        folded: whether batch norm is folded away (deploy form, evaluation only).
    """

    def __init__(
        self, architecture: Architecture, head: Head, *, dropout: float = 0.0, stochastic_depth: float = 0.0
    ) -> None:
        options = architecture.options
        stem = ConvNorm(3, architecture.stem, 3, stride=STEM_STRIDE, activation=options.activation)
        count = len(architecture.layers)
        blocks: dict[str, Bottleneck] = {}
        width = architecture.stem
        for index, stage in enumerate(architecture.stages):
            for position, layer in enumerate(stage.layers):
                name = f"block{index}_layer{position}"
                blocks[name] = Bottleneck(
                    width,
                    stage.width,
                    layer,
                    stage.stride if position == 0 else 1,
                    options,
                    drop=stochastic_depth * (len(blocks) + 1) / count,
                    name=name,
                )
                width = stage.width
        self._assemble(architecture, head, stem, blocks, PoolHead(width, architecture, head.outputs, dropout))

    @classmethod
    def of_parts(
        cls,
        architecture: Architecture,
        head: Head,
        stem: ConvNorm,
        blocks: Mapping[str, Bottleneck],
        pool_head: PoolHead,
    ) -> MoViNet:
        """Return the network that consists of layers that exist, which it then shares with their owner."""
        network = cls.__new__(cls)
        network._assemble(architecture, head, stem, blocks, pool_head)
        return network

    def _assemble(
        self,
        architecture: Architecture,
        head: Head,
        stem: ConvNorm,
        blocks: Mapping[str, Bottleneck],
        pool_head: PoolHead,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.head_type = head
        self.classes = head.outputs
        self.folded = False
        # The shapes that were asked for last: every step checks its state against them.
        self._known_shapes: tuple[tuple[int, int, int], dict[str, tuple[int, ...]]] | None = None
        # Made at the first frame of a folded network.
        self._frame_step: FrameStep | None = None
        self.stem = stem
        self.blocks = nn.ModuleDict(dict(blocks))
        self.head = pool_head

    @property
    def causal(self) -> bool:
        """Whether the network can run frame by frame."""
        return self.architecture.options.causal

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """The bottlenecks in order, typed."""
        return [block for block in self.blocks.values() if isinstance(block, Bottleneck)]

    def forward(self, clip: Tensor) -> Tensor:
        """Classify whole clips.

        Args:
            clip: (batch, 3, frames, height, width), 0..1, in the network's floating type.

        Returns:
            Logits (batch, classes).

        Raises:
            NetworkError: wrong rank, channels, size or type.
        """
        check_clip(clip, self.stem.weight, "clip")
        return self._run(clip, clip.shape[2], None, every=False)

    def frame_logits(self, clip: Tensor) -> Tensor:
        """Return the logits (batch, frames, classes) after every frame of a clip; causal networks only."""
        self._require_causal("frame_logits")
        check_clip(clip, self.stem.weight, "clip")
        return self._run(clip, clip.shape[2], None, every=True)

    def step(self, frames: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Advance a stream by a chunk of any number of frames; a pure function.

        Args:
            frames: (batch, 3, frames, height, width), 0..1.
            state: state of ``initial_state`` or of the step before.

        Returns:
            Logits (batch, classes) over all frames so far, and the new state.

        Raises:
            NetworkError: wrong frames, a state of another network, batch or size, or a network that is not
                causal.
        """
        self._require_causal("step")
        check_clip(frames, self.stem.weight, "frames")
        if not is_recording():
            batch, _, _, height, width = frames.shape
            check_state(state, self.state_shapes(batch, (height, width)), frames)
        one_frame = self._one_frame_step(frames)
        if one_frame is not None:
            return one_frame(frames, state)
        memory = Memory(state)
        logits = self._run(frames, frames.shape[2], memory, every=False)
        return logits, {name: memory.after[name] for name in state}

    def _one_frame_step(self, clip: Tensor) -> FrameStep | None:
        """Return the fast step if it computes all that is asked for: no gradient, record or autocast."""
        if not self.folded or clip.shape[2] > 1 or torch.is_grad_enabled() or is_recording():
            return None
        if torch.is_autocast_enabled(clip.device.type):
            return None
        if self._frame_step is None or not self._frame_step.is_current():
            self._frame_step = self.frame_step()
        return self._frame_step

    def frame_step(self) -> FrameStep | None:
        """Return the fastest step of one frame; None unless the network is folded and of a fitting form."""
        if not self.folded or not FrameStep.supports(self.bottlenecks):
            return None
        return FrameStep(self.stem, self.bottlenecks, self.head, self.modules())

    def initial_state(
        self,
        batch: int = 1,
        size: int | tuple[int, int] | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> State:
        """Return the state at the start of a video: zeros.

        Args:
            batch: number of streams.
            size: pixels of the frames, (height, width) or one number for both; by default the
                architecture's.
            dtype: type of the floating tensors; by default the weights'.
            device: device of the tensors; by default the weights'.
        """
        self._require_causal("initial_state")
        weight = self.stem.weight
        return {
            name: torch.zeros(
                shape,
                dtype=COUNT_DTYPE if name.endswith("frame_count") else dtype or weight.dtype,
                device=device or weight.device,
            )
            for name, shape in self.state_shapes(batch, size).items()
        }

    def state_shapes(
        self, batch: int = 1, size: int | tuple[int, int] | None = None
    ) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of all states, in order."""
        size = self.architecture.input.size if size is None else size
        height, width = (size, size) if isinstance(size, int) else size
        if self._known_shapes is not None and self._known_shapes[0] == (batch, height, width):
            return dict(self._known_shapes[1])
        asked = (batch, height, width)
        height, width = strided(height, STEM_STRIDE), strided(width, STEM_STRIDE)
        shapes: dict[str, tuple[int, ...]] = {}
        for block in self.bottlenecks:
            shapes |= block.state_shapes(batch, height, width)
            height, width = strided(height, block.stride), strided(width, block.stride)
        shapes |= self.head.mean.state_shapes(batch, self.architecture.head)
        self._known_shapes = (asked, shapes)
        return dict(shapes)

    def _run(self, clip: Tensor, frames: int, memory: Memory | None, *, every: bool) -> Tensor:
        x = self.stem(fold_frames(clip))
        for block in self.bottlenecks:
            x = block(x, frames, memory)
        logits: Tensor = self.head(x, frames, memory, every)
        return logits

    def _require_causal(self, what: str) -> None:
        if not self.causal:
            raise NetworkError(
                f"{what}: the network is of the base form, which looks at future frames",
                hint="build a causal architecture (stream form)",
            )

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles make their own: it refers to this network's tensors.
        return {**self.__dict__, "_frame_step": None}

    def train(self, mode: bool = True) -> MoViNet:
        """Switch to training or evaluation.

        Raises:
            NetworkError: training was asked of a folded network.
        """
        if mode and self.folded:
            raise NetworkError("a folded network cannot be trained", hint="train the network that was folded")
        super().train(mode)
        return self


@overload
def build(
    architecture: Architecture,
    classes: int | Sequence[int] | Head = ...,
    *,
    dropout: float = ...,
    stochastic_depth: float = ...,
    seed: int | None = ...,
    plain: Literal[False] = ...,
) -> MoViNet: ...


@overload
def build(
    architecture: Architecture,
    classes: int | Sequence[int] | Head = ...,
    *,
    dropout: float = ...,
    stochastic_depth: float = ...,
    seed: int | None = ...,
    plain: Literal[True],
) -> PlainMoViNet: ...


def build(
    architecture: Architecture,
    classes: int | Sequence[int] | Head = 600,
    *,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    seed: int | None = None,
    plain: bool = False,
) -> MoViNet | PlainMoViNet:
    """Build the network of an architecture with new random weights.

    Args:
        architecture: the architecture to build.
        classes: number of classes, (verbs, nouns), or a ``Head``.
        dropout: dropout rate before the classifier, in training.
        stochastic_depth: drop rate of the last bottleneck's branch in training; it grows linearly from the
            first.
        seed: seed of the weights; None draws from torch's global generator.
        plain: whether to build the same network, with the same weights, of PyTorch's own layers: for whole
            clips only, and slower, but other programs know the layers by their class.

    Raises:
        NetworkError: a rate outside 0..1, or no classes.
    """
    for name, rate in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
        if not 0 <= rate < 1:
            raise NetworkError(f"{name}: expected a rate from 0 to below 1, got {rate}")
    head = as_head(classes)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network = MoViNet(architecture, head, dropout=dropout, stochastic_depth=stochastic_depth)
    return to_plain(network) if plain else network


def to_plain(model: MoViNet) -> PlainMoViNet:
    """Return the same network of PyTorch's own layers, with copies of the weights: ``build``'s ``plain``.

    Args:
        model: a network whose batch norm is not folded; it is not changed.

    Raises:
        NetworkError: batch norm is folded.
    """
    if model.folded:
        raise NetworkError(
            "plain form: the network is folded, and the plain form has batch norms",
            hint="give the network that was folded",
        )
    # Without memory, and so without drawing weights that nobody will see.
    with torch.device("meta"):
        plain = PlainMoViNet(
            model.architecture,
            model.head_type,
            dropout=model.head.dropout,
            stochastic_depth=model.bottlenecks[-1].drop,
        )
    copy_weights(model, plain)
    plain.train(model.training)
    return plain
