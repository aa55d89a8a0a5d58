"""The ResNets and plain networks for CIFAR-10 (He, Zhang, Ren and Sun 2016, "Deep residual
learning for image recognition", section 4.2)."""

from functools import partial
from typing import ClassVar

import flax.linen as nn

from cnnjax.errors import CnnjaxError
from cnnjax.layers import ConvNorm, PoolDense
from cnnjax.models.network import Network
from cnnjax.models.resnet import BasicBlock


class CifarResNet(Network):
    """6 n + 2 weight layers of 3 x 3 convolutions: conv1, conv2_1 ... conv4_n, and fc.

    `[N, 32, 32, 3] -> [N, num_classes]`, or any other size. The paper's table:

        output map size | 32 x 32 | 16 x 16 | 8 x 8
        layers          | 1 + 2n  | 2n      | 2n
        filters         | 16      | 32      | 64

    Stages are its convolution and its residual blocks, numbered as in its table 1; conv3_1 and
    conv4_1 have stride 2, and fc takes the average of each map. Shortcuts are "identity shortcuts
    in all cases (i.e., option A)": every second pixel, with channels of zeros behind, and no
    parameters. Batch normalisation after every convolution; the paper gives neither momentum nor
    epsilon, they are 0.9 and 1e-5, torch's. Weights are Gaussian of variance 2 / n_in ("the weight
    initialization in [13]": He et al. 2015, equation 10), biases zero.

    Attributes:
      shortcuts: without them it is the plain network of figure 6, left, with the same parameters,
        which gets worse with depth (also "-noshort" of Li et al. 2018, "Visualizing the loss
        landscape of neural nets").
      zero_init: whether the last batch norm scale of each block begins at 0, so that the block
        begins as its shortcut; not in the paper.
    """

    num_classes: int = 10
    shortcuts: bool = True
    zero_init: bool = False

    image: ClassVar = (32, 32, 3)
    n: ClassVar[int]  # blocks at each of the three sizes

    def layers(self) -> dict[str, nn.Module]:
        if self.zero_init and not self.shortcuts:
            raise CnnjaxError(
                "zero_init is True and shortcuts False: each block would begin at zero and learn "
                "nothing; a block begins as its shortcut, give one of the two"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = partial(ConvNorm, momentum=0.9, epsilon=1e-5, **types)
        block = partial(
            BasicBlock,
            conv=conv,
            shortcut="A" if self.shortcuts else None,
            last_scale=nn.initializers.zeros if self.zero_init else nn.initializers.ones,
        )
        blocks = {
            f"conv{size + 2}_{number}": block(
                16 * 2**size, stride=2 if size > 0 and number == 1 else 1
            )
            for size in range(3)
            for number in range(1, self.n + 1)
        }
        stem = conv(16, 3, padding=1, activation=nn.relu)
        return {"conv1": stem} | blocks | {"fc": PoolDense(self.num_classes, **types)}


class ResNet20(CifarResNet):
    """n = 3: 269,722 parameters at 10 classes; 8.75 % error on CIFAR-10 (table 6)."""

    n = 3


class ResNet32(CifarResNet):
    """n = 5: 464,154 parameters at 10 classes; 7.51 % error on CIFAR-10 (table 6)."""

    n = 5


class ResNet44(CifarResNet):
    """n = 7: 658,586 parameters at 10 classes; 7.17 % error on CIFAR-10 (table 6)."""

    n = 7


class ResNet56(CifarResNet):
    """n = 9: 853,018 parameters at 10 classes; 6.97 % error on CIFAR-10 (table 6)."""

    n = 9


class ResNet110(CifarResNet):
    """n = 18: 1,727,962 parameters at 10 classes; 6.43 % error on CIFAR-10 (table 6)."""

    n = 18
