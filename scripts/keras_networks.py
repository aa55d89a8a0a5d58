"""The networks of cnnjax that `keras.applications` has, on the JAX backend. Needs Keras 3."""

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported
import keras

APPLICATIONS: dict[str, Callable[..., keras.Model]] = {
    "densenet121": keras.applications.DenseNet121,
    "densenet169": keras.applications.DenseNet169,
    "densenet201": keras.applications.DenseNet201,
    **{f"efficientnet_b{i}": getattr(keras.applications, f"EfficientNetB{i}") for i in range(8)},
    "inception_v3": keras.applications.InceptionV3,
    "mobilenet": keras.applications.MobileNet,
    "mobilenet_v2": keras.applications.MobileNetV2,
    "nasnet_large": keras.applications.NASNetLarge,
    "nasnet_mobile": keras.applications.NASNetMobile,
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
    "resnet50v2": keras.applications.ResNet50V2,
    "resnet101v2": keras.applications.ResNet101V2,
    "resnet152v2": keras.applications.ResNet152V2,
    "vgg16": keras.applications.VGG16,
    "vgg19": keras.applications.VGG19,
    "xception": keras.applications.Xception,
}

Carried = tuple[list[jax.Array], list[jax.Array], optax.OptState]


def keras_functions(
    name: str, image: tuple[int, ...], classes: int, optimizer: optax.GradientTransformation
) -> tuple[Callable[..., jax.Array], Callable[..., tuple], list, Carried]:
    """(forward, step, its first argument, that of the step), in Keras' stateless form.

    forward(variables, images) gives logits; step(carried, images, labels) one update of `carried`
    and the loss.
    """
    model = APPLICATIONS[name](
        input_shape=image, weights=None, classes=classes, classifier_activation=None
    )

    def forward(variables: list, x: jax.Array) -> jax.Array:
        return model.stateless_call(*variables, x, training=False)[0]

    def step(carried: Carried, x: jax.Array, labels: jax.Array) -> tuple[Carried, jax.Array]:
        trainable, fixed, state = carried

        def loss(trainable: list) -> tuple[jax.Array, list]:
            logits, updated = model.stateless_call(trainable, fixed, x, training=True)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), updated

        (value, updated), gradients = jax.value_and_grad(loss, has_aux=True)(trainable)
        updates, state = optimizer.update(gradients, state, trainable)
        return (optax.apply_updates(trainable, updates), updated, state), value

    def variables() -> list:
        kinds = (model.trainable_variables, model.non_trainable_variables)
        return [[jnp.array(v.value) for v in kind] for kind in kinds]

    trainable, fixed = variables()
    return forward, step, variables(), (trainable, fixed, optimizer.init(trainable))
