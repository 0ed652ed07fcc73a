"""Pure functions of tensors: the masked softmax family and the losses on memory rows."""

from maskcl.functional.cfgm import cfgm
from maskcl.functional.replay import distillation, logit_mse
from maskcl.functional.softmax import (
    cross_entropy,
    leaky_logits,
    masked_cross_entropy,
    mass_to_value,
    present_classes,
    replace_logits,
    scale_gradient,
)

__all__ = [
    "cfgm",
    "cross_entropy",
    "distillation",
    "leaky_logits",
    "logit_mse",
    "masked_cross_entropy",
    "mass_to_value",
    "present_classes",
    "replace_logits",
    "scale_gradient",
]
