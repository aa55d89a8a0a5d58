"""ResNeXt (Xie, Girshick, Dollár, Tu and He 2017, "Aggregated residual transformations for deep
neural networks"), table 1 and its larger relatives."""

from cnnjax.models.resnet import ResNet


class ResNeXt(ResNet):
    """ResNeXt: ResNet's table with the 3 x 3 convolution of each bottleneck in groups.

    `[N, 224, 224, 3] -> [N, num_classes]`, or any other size. A block sums `groups` paths of
    `width` channels (at conv2; twice as many in each further group of blocks), which is one
    bottleneck whose 3 x 3 convolution is grouped (section 3.3, figure 3c). Stride 2 lies in the 3
    x 3 convolution (section 4). A name says groups x width d. The one variant, "torchvision", is
    the authors' too (their models/resnext.lua), with weights of variance 2 / n_out, see `ResNet`.
    """

    variants = ("torchvision",)


class ResNeXt50x32x4d(ResNeXt):
    """ResNeXt-50 (32 x 4d), table 1: 25,028,904 parameters at 1,000 classes."""

    blocks = (3, 4, 6, 3)
    groups = 32
    width = 4


class ResNeXt101x32x8d(ResNeXt):
    """ResNeXt-101 (32 x 8d): 88,791,336 parameters at 1,000 classes. Not in the paper; it is the
    network of Mahajan et al. 2018, "Exploring the limits of weakly supervised pretraining"."""

    blocks = (3, 4, 23, 3)
    groups = 32
    width = 8


class ResNeXt101x64x4d(ResNeXt):
    """ResNeXt-101 (64 x 4d), section 5.1: 83,455,272 parameters at 1,000 classes."""

    blocks = (3, 4, 23, 3)
    groups = 64
    width = 4
