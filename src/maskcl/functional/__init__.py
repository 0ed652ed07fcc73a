"""Pure functions of tensors: the masked softmax family and the losses on memory rows."""

from maskcl.functional.cfgm import cfgm
from maskcl.functional.losses import cross_entropy, leaky_logits, masked_cross_entropy, replace_logits
from maskcl.functional.prior import log_prior
from maskcl.functional.replay import distillation, logit_mse
from maskcl.functional.softmax import (
    gradient_factor,
    masked_losses,
    mass_to_value,
    present_classes,
    row_losses,
    scale_gradient,
)

__all__ = [
    "cfgm",
    "cross_entropy",
    "distillation",
    "gradient_factor",
    "leaky_logits",
    "log_prior",
    "logit_mse",
    "masked_cross_entropy",
    "masked_losses",
    "mass_to_value",
    "present_classes",
    "replace_logits",
    "row_losses",
    "scale_gradient",
]
