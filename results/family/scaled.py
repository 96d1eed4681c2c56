"""Networks for budgets at which a search has found nothing: the nearest one it has, compound-scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from results.analysis.candidates import MeasuredNetwork
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import compute_cost
from search_space.space.scaled_networks import ScaledNetwork, scalings

_LEAST_USE = 0.5


@dataclass(frozen=True, slots=True)
class Scaler:
    """Scales depth, width and clip together, as the released family does.

    Args:
        classes: number of outputs of the classifier.
        clips: clips that there is data for; a scaled network takes the one nearest to its scaled clip.
    """

    classes: int
    clips: Sequence[ClipShape] = ()

    def __call__(
        self, front: Sequence[MeasuredNetwork], above: float, budget: float
    ) -> MeasuredNetwork | None:
        """Return the largest network within a budget that scaling of the member nearest to it gives.

        It has no accuracy yet (NaN, over 0 seeds). Exponents stay within those of the released family, beyond
        which they are untried; a network that uses less than half of the budget is not taken.

        Args:
            front: members to scale.
            above: multiply-adds that the network must exceed.
            budget: largest multiply-adds of the network.

        Returns:
            The network; None if scaling gives none.
        """
        origin = Architecture.parse(source(front, budget).architecture)
        best: ScaledNetwork | None = None
        for scaled in scalings(origin, self.classes, self.clips):
            inside = max(above, _LEAST_USE * budget) < scaled.macs <= budget
            if inside and scaled.architecture != origin and (best is None or scaled.macs > best.macs):
                best = scaled
        return None if best is None else self._member(best.architecture)

    def _member(self, network: Architecture) -> MeasuredNetwork:
        cost = compute_cost(network, self.classes)
        return MeasuredNetwork(
            architecture=network.text,
            digest=network.digest,
            macs=cost.macs,
            accuracy=math.nan,
            spread=0.0,
            seeds=0,
            fidelity="",
            parameters=cost.parameters,
            state_bytes=cost.state_bytes,
        )


def source(front: Sequence[MeasuredNetwork], budget: float) -> MeasuredNetwork:
    """Return the member that a network for ``budget`` is scaled from."""
    return min(front, key=lambda m: abs(math.log(m.macs / budget)))
