"""NASNet-A (Zoph, Vasudevan, Shlens and Le 2018, "Learning transferable architectures for scalable
image recognition"): two cells, found by search on CIFAR-10, stacked for ImageNet."""

from functools import partial
from typing import ClassVar

import flax.linen as nn

from cnnjax.layers import ConvNorm, PoolDense
from cnnjax.models.nasnet_cells import EPSILON, NormalCell, ReductionCell, he_fan_out
from cnnjax.models.network import Network
from cnnjax.models.variants import variant_of

VARIANTS = {
    "keras": {"momentum": 0.9997, "zeros_in_maxima": True},
    "timm": {"momentum": 0.9, "zeros_in_maxima": False},
}


class NASNet(Network):
    """NASNet-A (N @ F): three times N normal cells, a reduction cell before the second and before
    the third time, and two reduction cells in front of all; the last cell gives F maps.

    `[N, H, W, 3] -> [N, num_classes]`, images of any size from 3 x 3 on. Stages, named as in the
    authors' code (TF-Slim, nets/nasnet): conv0, cell_stem_0, cell_stem_1, cell_0, ..., with
    reduction_cell_0 and reduction_cell_1 in between, and final_layer, the head. A cell takes the
    maps of the two cells in front: each stage but the first, the last cell and the head gives a
    tuple, (what came before, its own maps). The last cell gives relu of its maps alone, which are
    the features of `num_classes=0`. Filters double where the size is halved.

    Convolutions have no bias; all are relu, convolution, batch normalisation, but conv0, which
    takes the image. Batch normalisation has epsilon 1e-3. Weights are those of the authors' code:
    Gaussian, cut at two deviations, of variance 2 / n_out, where n_out is kh kw for a depthwise
    kernel; biases zero.

    Variants, with the same parameters:

    "keras": as tf.keras.applications. Running statistics have the momentum 0.9997 (as the
    authors'). The maximum pooling of a reduction cell counts padded pixels as 0.

    "timm": as timm's nasnetalarge. Momentum 0.9, and padded pixels are never the maximum.

    Both count padded zeros in the average pooling with stride 2, and do not with stride 1. The
    authors' own TensorFlow code counts none.

    Left out, as in Keras and timm: the auxiliary head after two thirds of the cells, and scheduled
    drop-path, without which the authors train the mobile network too.

    Attributes:
      variant: "keras" or "timm", see above.
      dropout: probability of zeroing an average of a map in training; the authors' code has 0.5,
        Keras and timm none.
    """

    variant: str = "keras"
    dropout: float = 0.5

    repeats: ClassVar[int]  # N
    features: ClassVar[int]  # F
    stem: ClassVar[int]  # maps of conv0
    skip: ClassVar[bool]  # whether the cell behind a reduction cell sees what that cell saw as h'

    def layers(self) -> dict[str, nn.Module]:
        form = variant_of(self, VARIANTS)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        normal = partial(NormalCell, **form, **types)
        reduction = partial(ReductionCell, **form, **types)
        filters = self.features // 24  # 6 filters are concatenated, after two times twice as many
        stages = {
            "conv0": ConvNorm(
                self.stem, 3, form["momentum"], EPSILON, stride=2, kernel_init=he_fan_out, **types
            ),
            "cell_stem_0": reduction(filters // 4, previous="as_is"),
            "cell_stem_1": reduction(filters // 2, previous="reduce"),
        }
        for part, width in enumerate((filters, 2 * filters, 4 * filters)):
            if part > 0:
                stages[f"reduction_cell_{part - 1}"] = reduction(width, skip=self.skip)
            for i in range(self.repeats):
                number = part * self.repeats + i
                stages[f"cell_{number}"] = normal(
                    width,
                    previous="project" if i else "reduce",
                    last=number == 3 * self.repeats - 1,
                )
        stages["final_layer"] = PoolDense(
            self.num_classes, dropout=self.dropout, kernel_init=he_fan_out, **types
        )
        return stages


class NASNetMobile(NASNet):
    """NASNet-A (4 @ 1056): 5,289,978 parameters at 1,000 classes. The cell behind a reduction cell
    sees that cell's maps and those in front of it."""

    image = (224, 224, 3)
    repeats, features, stem, skip = 4, 1056, 32, False


class NASNetLarge(NASNet):
    """NASNet-A (6 @ 4032): 88,753,150 parameters at 1,000 classes. The cell behind a reduction cell
    sees that cell's maps and, of the two in front of it, the older ones: nothing else sees the last
    cell before a reduction but the reduction."""

    image = (331, 331, 3)
    repeats, features, stem, skip = 6, 4032, 96, True
