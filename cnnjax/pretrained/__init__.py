"""Weights that others have trained: read, checked, converted, and what pictures must become."""

from cnnjax.pretrained.downloads import fetch, weights_dir
from cnnjax.pretrained.loading import Pretrained, load
from cnnjax.pretrained.own_files import save
from cnnjax.pretrained.passports import Passport, imagenet_classes, passports
from cnnjax.pretrained.preprocessing import Preprocessing

__all__ = [
    "Passport",
    "Preprocessing",
    "Pretrained",
    "fetch",
    "imagenet_classes",
    "load",
    "passports",
    "save",
    "weights_dir",
]
