"""Which part of a pretrained network to keep for somebody's own images, by measurement."""
