"""What holds for every augmentation: dtype, seeds, one key an example, identity, hash, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.data import augment as a
from cnnjax.errors import CnnjaxError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3)).astype(np.uint8)
KEY = jax.random.key(7)


def same(key, image):
    return image


# Name -> (an instance at work, an instance of no strength).
ALL = {
    "apply": (a.apply(same), a.apply(same)),
    "brightness": (a.brightness(0.5), a.brightness(0)),
    "center_crop": (a.center_crop((8, 6)), a.center_crop((12, 10))),
    "channel_shift": (a.channel_shift(40), a.channel_shift(0)),
    "color_cast": (a.color_cast(40, 0.9), a.color_cast(0)),
    "compose": (a.compose(a.flip(), a.rotate(15)), a.compose()),
    "contrast": (a.contrast(0.5), a.contrast(0)),
    "cutout": (a.cutout(5), a.cutout(0)),
    "elastic": (a.elastic(8, 2), a.elastic(0, 2)),
    "flip": (a.flip(0.5, 0.5), a.flip(0, 0)),
    "gaussian_noise": (a.gaussian_noise(20), a.gaussian_noise(0)),
    "hue": (a.hue(0.3), a.hue(0)),
    "lens_distortion": (a.lens_distortion(0.5), a.lens_distortion(0)),
    "pad": (a.pad((1, 2)), a.pad(0)),
    "random_crop": (a.random_crop((8, 6), 2), a.random_crop((12, 10))),
    "resize": (a.resize((8, 6)), a.resize((12, 10))),
    "rotate": (a.rotate(30), a.rotate(0)),
    "saturation": (a.saturation(0.5), a.saturation(0)),
    "shear": (a.shear(20), a.shear(0)),
    "shift": (a.shift(0.3), a.shift(0)),
    "zoom": (a.zoom(0.3), a.zoom(0)),
}
SHAPES = {"center_crop": (8, 6), "pad": (14, 14), "random_crop": (8, 6), "resize": (8, 6)}
RECIPE = a.compose(a.rotate(15), a.shift(0.1), a.flip(), a.brightness(0.2))
every = pytest.mark.parametrize("name", ALL)


def test_every_public_augmentation_is_in_this_table():
    others = {"Augmentation", "Standardization", "fit_standardization", "image_data_generator"}
    assert set(a.__all__) - others == set(ALL)


@every
def test_dtype_and_size_come_out_as_promised(name):
    augment, _ = ALL[name]
    for images in (IMAGES, IMAGES.astype(np.float32)):
        out = jax.eval_shape(augment, KEY, images)
        assert out.dtype == images.dtype
        assert out.shape == (3, *SHAPES.get(name, (12, 10)), 3)


def test_uint8_is_the_rounded_float():
    small, real = RECIPE(KEY, IMAGES), RECIPE(KEY, IMAGES.astype(np.float32))
    np.testing.assert_array_equal(small, np.rint(real).astype(np.uint8))
    assert np.any(np.asarray(real) % 1 != 0)


def test_no_strength_changes_no_bit():
    # A function of one's own in between, so that nothing is fused.
    idle = [stage for _, none in ALL.values() for stage in (none, a.apply(same))]
    np.testing.assert_array_equal(a.compose(*idle)(KEY, IMAGES), IMAGES)


@pytest.mark.parametrize("fill", ["constant", "reflect", "wrap"])
def test_a_fused_map_of_no_strength_changes_no_bit_whatever_the_fill(fill):
    idle = [a.rotate(0, fill=fill), a.shift(0, fill=fill), a.flip(0)]
    images = IMAGES.astype(np.float32)
    np.testing.assert_array_equal(a.compose(*idle)(KEY, images), images)


def test_another_key_or_place_in_the_batch_draws_otherwise():
    # That each augmentation draws is tested where its range is.
    copies = np.stack([IMAGES[0]] * 3)
    changed, others = (np.asarray(RECIPE(jax.random.key(seed), copies)) for seed in (7, 8))
    assert len({image.tobytes() for image in (*changed, *others)}) == 6


def test_the_same_key_gives_the_same_images():
    np.testing.assert_array_equal(RECIPE(KEY, IMAGES), RECIPE(KEY, IMAGES))


def test_an_example_does_not_depend_on_its_neighbours():
    whole = RECIPE(KEY, IMAGES)
    np.testing.assert_array_equal(RECIPE(KEY, IMAGES[:1]), whole[:1])
    others = IMAGES.copy()
    others[1:] = 255 - others[1:]
    np.testing.assert_array_equal(RECIPE(KEY, others)[0], whole[0])


def test_inside_jit_scan_and_vmap_and_without_jit_it_is_the_same_function():
    augment = a.compose(a.flip(), a.brightness(0.2))
    keys = jax.random.split(KEY, 2)
    alone = np.stack([augment(key, IMAGES) for key in keys]).astype(int)
    scanned = jax.lax.scan(lambda _, key: (0, augment(key, IMAGES)), 0, keys)[1]
    own = jax.vmap(jax.random.fold_in, (None, 0))(keys[0], np.arange(3))
    unjitted = jnp.rint(jax.vmap(augment.augment_one)(own, IMAGES.astype(np.float32)))[None]
    for got in (scanned, jax.vmap(augment, (0, None))(keys, IMAGES), unjitted):
        difference = np.abs(np.asarray(got, int) - alone[: len(got)])
        # XLA may fuse multiply and add; what is about half then rounds to either side.
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01


def test_keys_of_the_old_kind_are_taken_too():
    old = a.flip()(jax.random.PRNGKey(3), IMAGES)
    np.testing.assert_array_equal(old, a.flip()(jax.random.key(3), IMAGES))


def test_nothing_calls_back_to_the_host():
    text = str(jax.make_jaxpr(lambda key: RECIPE(key, IMAGES))(KEY))
    assert "callback" not in text


@every
def test_settings_are_hashable_visible_and_equal_if_alike(name):
    at_work, idle = ALL[name]
    hash(at_work)
    if name != "apply":
        assert at_work != idle
        assert eval(repr(at_work), vars(__import__("builtins")) | classes()) == at_work


def classes():
    found, todo = {}, [a.Augmentation]
    while todo:
        todo += (kinds := todo.pop().__subclasses__())
        found |= {kind.__name__: kind for kind in kinds}
    return found


def test_equal_settings_are_compiled_once():
    traces = []

    @jax.jit(static_argnums=0)
    def step(augment, images):
        traces.append(augment)
        return augment(KEY, images)

    for shift in (0.1, np.float64(0.1)):
        step(a.compose(a.flip(), a.compose(a.shift(shift), a.rotate(15.0))), IMAGES)
        step(a.compose(a.flip(), a.shift(shift, 0.1), a.rotate(15)), IMAGES)
    assert len(traces) == 1


def test_a_function_of_ones_own_gets_a_key_for_each_image():
    def blank(key, image):
        return jnp.full_like(image, jax.random.randint(key, (), 0, 256))

    blanks = a.apply(blank)(KEY, IMAGES)
    assert len(np.unique(blanks)) == 3


@pytest.mark.parametrize(
    "images",
    [IMAGES[0], IMAGES.astype(np.float64).astype(np.int32), IMAGES.astype(np.float16)],
    ids=["rank", "integers", "half"],
)
def test_images_of_another_rank_or_dtype_are_refused(images):
    with pytest.raises(CnnjaxError, match=r"expected uint8 or float32 \[N, H, W, C\] in 0") as e:
        a.flip()(KEY, images)
    assert "\n" not in str(e.value)
    assert str(images.dtype) in str(e.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: a.flip(1.5), "flip has horizontal=1.5; expected a probability from 0 to 1"),
        (lambda: a.flip(0, -0.1), "flip has vertical=-0.1; expected a probability"),
        (lambda: a.flip(True), "flip has horizontal=True; expected a probability"),
        (lambda: a.color_cast(20, p=2), "color_cast has p=2; expected a probability"),
        (lambda: a.color_cast(2.5), "color_cast has strength=2.5; expected a whole number"),
        (lambda: a.color_cast(300), "color_cast has strength=300; expected a number from 0 to 255"),
        (lambda: a.shift(0.1, fill="neares"), "fill='neares'.*did you mean 'nearest'"),
        (lambda: a.rotate(5, fill="edge"), "rotate has fill='edge'; expected nearest, constant, r"),
        (lambda: a.elastic(1, 2, fill="mirror"), "elastic has fill='mirror'"),
        (lambda: a.rotate(5, cval=300), "rotate has cval=300; expected a number from 0 to 255"),
        (lambda: a.shift(-0.1), "shift has width=-0.1; expected a number from 0 to 1"),
        (lambda: a.shift(20), "shift has width=20; expected a number from 0 to 1"),
        (lambda: a.shift("0.1"), "shift has width='0.1'; expected a number"),
        (lambda: a.rotate(-15), "rotate has degrees=-15; expected a number from 0 to 180"),
        (lambda: a.rotate(jnp.array(1.0)), "rotate has degrees=.*; expected a number"),
        (lambda: a.shear(90), "shear has degrees=90; expected a number from 0 to 89"),
        (lambda: a.zoom(1), "zoom has lowest factor=0.0; expected a number of at least 0.05"),
        (lambda: a.zoom((2, 1)), "zoom has factors from 2 to 1; expected the lower one first"),
        (lambda: a.lens_distortion(2), "lens_distortion has strength=2; expected a number from 0"),
        (lambda: a.elastic(-1, 2), "elastic has alpha=-1; expected a number of at least 0"),
        (lambda: a.elastic(1, 0), "elastic has sigma=0; expected a number of at least 0.1"),
        (lambda: a.brightness(-0.2), "brightness has strength=-0.2; expected a number from 0 to 1"),
        (lambda: a.contrast((-1, 1)), "contrast has factor=-1; expected a number of at least 0"),
        (lambda: a.hue(0.6), "hue has strength=0.6; expected a number from 0 to 0.5"),
        (lambda: a.channel_shift(-5), "channel_shift has strength=-5"),
        (lambda: a.gaussian_noise(float("nan")), "gaussian_noise has std=nan; expected a number"),
        (lambda: a.cutout(-1), "cutout has size=-1; expected a whole number of at least 0"),
        (lambda: a.pad(-1), "pad has width=-1; expected a whole number of at least 0"),
        (lambda: a.pad((1, 2.5)), "pad has width=2.5; expected a whole number"),
        (lambda: a.center_crop(0), "center_crop has size=0; expected a whole number of at least 1"),
        (lambda: a.center_crop(13)(KEY, IMAGES), "13 x 13 pixels out of images of 12 x 10"),
        (lambda: a.random_crop((15, 9), 1)(KEY, IMAGES), "15 x 9 pixels out of images of 14 x 12"),
        (lambda: a.hue(0.1)(KEY, IMAGES[..., :1]), "hue was given images of 1 channels; expected"),
        (lambda: a.saturation(0.1)(KEY, IMAGES[..., :2]), "saturation was given images of 2 chan"),
        (lambda: a.contrast(0.1)(KEY, IMAGES[..., :2]), "green and blue or one of grey"),
        (lambda: a.compose(a.flip), "compose was given .*; expected augmentations such as flip()"),
        (lambda: a.apply(3), "apply has function=3; expected a function"),
        (lambda: a.apply(lambda k, x: x[0])(KEY, IMAGES), r"returned float32\[10, 3\]; expected f"),
        (lambda: a.apply(lambda k, x: None)(KEY, IMAGES), "returned NoneType"),
    ],
)
def test_a_mistake_is_told_in_one_line(make, says):
    with pytest.raises(CnnjaxError, match=says) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(";") >= 2  # what was wrong; what was expected; what to do
