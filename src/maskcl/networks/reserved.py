"""Arguments of libraries' functions that are no options of a network here, and why."""

from __future__ import annotations

__all__ = ["why_reserved"]

_DOWNLOADS = "it reads or downloads pretrained weights: a file of them is network.weights"
_DATA = "the data say how many there are"
_SIZE = "network.image_size says it"

_WHY = {
    **dict.fromkeys(("pretrained", "pretrained_backbone", "weights", "weights_backbone", "progress"), _DOWNLOADS),
    **dict.fromkeys(("pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"), _DOWNLOADS),
    **dict.fromkeys(("num_classes", "in_chans"), _DATA),
    **dict.fromkeys(("img_size", "image_size", "input_size"), _SIZE),
    "patch_size": "network.patch_size says it",
    "features_only": "it makes a network that gives features, and no logits",
    **dict.fromkeys(("scriptable", "exportable", "no_jit"), "it prepares the layers for export, and not for training"),
}


def why_reserved(option: str) -> str:
    """Return why an argument is no option of a network, as the end of a sentence.

    >>> why_reserved("in_chans")
    'the data say how many there are'
    """
    return _WHY[option]
