"""The recipe of a training: optimizer, schedule, regularisation, augmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_space.errors import SettingsError

_PRESETS = Path(__file__).parent / "presets"
_LATER = {"layer_decay", "frozen_trunk_epochs", "patience", "distillation", "temperature"}


class Recipe(BaseModel):
    """The ``recipe`` part of a run's settings; the defaults suit small networks and short trainings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["muon", "adamw", "rmsprop", "sgd"] = Field(
        default="muon",
        description="rmsprop is TensorFlow's, as in the paper; muon learns fastest in short trainings",
    )
    learning_rate: float = Field(default=0.02, gt=0, description="the peak, at this batch size")
    scale_rate: float = Field(
        default=5.0, gt=0, description="factor of the learning rate of the residual branches' scalars"
    )
    matrix_rate: float = Field(
        default=5.0, gt=0, description="factor of the learning rate of muon's matrices"
    )
    layer_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="factor of the learning rate from a layer to the one before; the classifier has it all",
    )
    frozen_trunk_epochs: int = Field(
        default=0, ge=0, description="first epochs, in which only the classifier is trained on given weights"
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="epochs without a better validation score after which a training stops; the best weights"
        " are kept",
    )
    distillation: float = Field(
        default=0.5, ge=0, le=1, description="weight of a teacher's outputs in the loss, if there is one"
    )
    temperature: float = Field(
        default=2.0, gt=0, description="divisor of the logits of teacher and network in distillation"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of rmsprop and sgd (Nesterov's)")
    batch_size: int = Field(default=32, ge=1, description="clips a step, of all processes together")
    micro_batch: int | None = Field(
        default=None, ge=1, description="clips computed at a time, whose gradients add up; default: all"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="weight decay of kernels, not of the classifier"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="largest norm of each variable's gradient"
    )
    schedule: Literal["cosine", "constant", "official"] = Field(
        default="cosine", description="after the warm-up; official warms up to the cosine, from a rate of 0"
    )
    warmup_epochs: float = Field(
        default=0.5, ge=0, description="epochs during which the learning rate rises linearly"
    )
    final_rate: float = Field(default=0.0, ge=0, le=1, description="fraction of the learning rate at the end")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout rate before the classifier")
    stochastic_depth: float = Field(default=0.0, ge=0, lt=1, description="drop rate of the last branch")
    mixup: float = Field(
        default=0.0, ge=0, description="clips are blended in pairs by Beta(mixup, mixup); 0: they are not"
    )
    stream_frames: int | None = Field(
        default=None,
        ge=1,
        description="causal networks see clips in parts of this number of frames, as a stream",
    )
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the weights' moving average; 0: none")
    batch_norm: Literal["batch", "frozen"] = Field(
        default="batch", description="frozen keeps the running statistics, for fine-tuning"
    )
    batch_norm_momentum: float = Field(
        default=0.1, gt=0, le=1, description="momentum of the running statistics (PyTorch's)"
    )
    shift: float = Field(default=0.05, ge=0, le=0.5, description="largest random shift, fraction of the side")
    photometric: float = Field(
        default=0.2, ge=0, le=1, description="strength of random brightness and colour"
    )
    flip: bool = Field(default=True, description="mirror half of the clips, where that keeps the label")
    box_area: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="least share of the picture in a random box, which is scaled to the clip; 1: only shifts",
    )
    box_aspect: float = Field(default=2.0, ge=1, description="largest ratio of that box's sides, either way")
    policy: Literal["none", "autoaugment", "randaugment"] = Field(
        default="none", description="random changes of colour and shape, the same for all frames of a clip"
    )
    policy_layers: int = Field(default=2, ge=1, description="randaugment's changes a clip")
    policy_magnitude: float = Field(default=9.0, ge=0, le=10, description="strength of the changes")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="bfloat16 is slower than float32 on CPUs; float16 needs a GPU"
    )

    @classmethod
    def from_yaml(cls, source: str | Path) -> Recipe:
        """Read a YAML file, or a preset by its name.

        Raises:
            SettingsError: no such file or preset, an unknown key, or a value out of range.
        """
        path = Path(source)
        preset = _PRESETS / f"{source}.yaml"
        if path.suffix in (".yaml", ".yml"):
            if not path.is_file():
                raise SettingsError(f"recipe {source}: no such file")
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise SettingsError(f"recipe {source}: not UTF-8 text", hint="save it as UTF-8") from error
        elif preset.is_file():
            text = preset.read_text(encoding="utf-8")
        else:
            raise SettingsError(
                f"recipe {str(source)!r}: no such preset",
                hint=f"one of {', '.join(preset_names())}, or a YAML file",
            )
        try:
            return cls.model_validate(yaml.safe_load(text) or {})
        except yaml.YAMLError as error:
            raise SettingsError(f"recipe {source}: not YAML: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "recipe"
            raise SettingsError(f"recipe {source}: {key}: {first['msg']} (got {first['input']!r})") from error

    def check_weights(self, *, given: bool) -> None:
        """Refuse a recipe that only trains well what is trained already, if no weights are given.

        Raises:
            SettingsError: the trunk of a network without trained weights would be frozen.
        """
        if self.frozen_trunk_epochs and not given:
            raise SettingsError(
                f"recipe.frozen_trunk_epochs is {self.frozen_trunk_epochs} for trainings from scratch",
                hint="give initial weights (train --weights, a search's weights), or set it to 0",
            )

    def identity(self) -> dict[str, Any]:
        """Return what a training must share to be resumed: every field in JSON types.

        Fields that older versions did not have are left out where they change nothing, so that what was begun
        with those versions goes on.
        """
        known = self.model_dump(mode="json")
        return {
            name: value
            for name, value in known.items()
            if name not in _LATER or value != type(self).model_fields[name].default
        }

    def text(self) -> str:
        """Return every field as YAML, so that it stands alone."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def to_yaml(self, path: Path) -> None:
        """Write ``text`` to a file."""
        path.write_text(self.text(), encoding="utf-8")


def preset_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with movinas."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))
