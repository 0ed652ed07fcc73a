"""Pure functions of tensors: the masked softmax family and the losses on memory rows."""

from maskcl.functional.cfgm import cfgm
from maskcl.functional.replay import distillation, logit_mse
from maskcl.functional.softmax import (
    cross_entropy,
    leaky_logits,
    mass_to_value,
    masked_cross_entropy,
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
    "mass_to_value",
    "masked_cross_entropy",
    "present_classes",
    "replace_logits",
    "scale_gradient",
]
