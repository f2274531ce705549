"""The style of a picture: fixed features, an optimised picture, a network for one style, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F
from helpers import rand

import aigc_lessons as al
from aigc_lessons.models.style import FastStyle, RandomFeatures, content_distance, paint, style_distance
from aigc_lessons.training import Batch

FEW = (4, 6)  # steps at half and at whole size


def stripes(side=32, period=4):
    """(1, 1, side, side): upright stripes."""
    return (2 * (torch.arange(side) % period < period / 2).float() - 1).expand(1, 1, side, side).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_features_and_their_sizes(channels):
    features = RandomFeatures(channels, width=5)
    pixels, edges, last = features(x := rand(2, channels, 24, 32))
    assert pixels is x and edges.shape == (2, 5, 24, 32) and last.shape == (2, 5, 12, 16)
    assert not list(features.parameters())
    flat = features(torch.full((1, channels, 16, 16), 0.6))
    assert flat[1].abs().max() < 1e-5 and flat[2].abs().max() < 1e-5


def test_one_seed_is_one_network_and_global_randomness_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    same, other = RandomFeatures(seed=1), RandomFeatures(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same.first, RandomFeatures(seed=1).first) and not torch.equal(same.first, other.first)


def test_the_receptive_field_is_what_the_gradient_says():
    features = RandomFeatures(1, width=4)
    x = rand(1, 1, 40, 40).requires_grad_()
    features(x)[-1][0, :, 10, 10].sum().backward()
    seen = x.grad[0, 0].nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [features.receptive_field] * 2
    assert al.ops.receptive_field([(7, 1), (2, 2), (3, 1)]) == features.receptive_field


def test_the_style_distance_forgets_places_and_the_content_distance_keeps_them():
    features, g = RandomFeatures(1, width=6), torch.Generator().manual_seed(0)
    x, noise = stripes(), rand(1, 1, 32, 32)
    moved = features(x.roll(4, 3))
    assert style_distance(moved, features(x), g) < 0.05 < style_distance(features(noise), features(x), g)
    assert content_distance(features(x), features(x)) == 0 < content_distance(features(x.roll(2, 3)), features(x))


def test_equal_seeds_paint_equal_pictures_in_range_and_nothing_else_changes():
    features, style, content = RandomFeatures(1, width=6), stripes(), rand(1, 1, 40, 36)
    kept = [t.clone() for t in (style, content, features.first, features.second)]
    a, b = (paint(features, style, content, steps=FEW, seed=3) for _ in range(2))
    assert torch.equal(a, b) and a.shape == content.shape and not a.requires_grad
    al.data.check_images(a, "test")
    assert not torch.equal(a, paint(features, style, content, steps=FEW, seed=4))
    assert all(map(torch.equal, kept, (style, content, features.first, features.second)))


def test_a_texture_comes_nearer_to_its_style_and_pictures_of_a_batch_differ():
    features, style = RandomFeatures(1, width=8), stripes(48, 8)
    noise = 0.3 * rand(2, 1, 48, 48)
    made = paint(features, style, n=2, steps=(40, 40), seed=0)
    fresh = RandomFeatures(1, width=8, seed=7)  # features that it was not painted by
    far, near = (
        style_distance(fresh(x), fresh(style), torch.Generator().manual_seed(0), (1, 64, 64)).item()
        for x in (noise, made)
    )
    assert near < far / 4 and (made[0] - made[1]).abs().mean() > 0.05


def test_the_content_weight_is_a_strength():
    features, style = RandomFeatures(1, width=8), stripes(48)
    content = F.interpolate(rand(1, 1, 6, 6), (48, 48), mode="bilinear")
    built = features(al.ops.match_moments(content, style).clamp(-1, 1))
    distances = [
        content_distance(features(paint(features, style, content, content_weight=w, steps=(20, 30))), built).item()
        for w in (0, 0.3, 10)
    ]
    assert distances[0] > 2 * distances[1] > 4 * distances[2]


def test_progress_sees_every_step():
    seen = []
    paint(RandomFeatures(1, width=4), stripes(), steps=(2, 3), progress=lambda x: seen.append(x.shape[-1]))
    assert seen == [16, 16, 32, 32, 32]


# What is refused


@pytest.mark.parametrize(("side", "steps", "least"), [(11, (2,), 12), (23, (2, 2), 24), (47, (2, 2, 2), 48)])
def test_a_style_smaller_than_the_receptive_field_is_refused(side, steps, least):
    features = RandomFeatures(1, width=4)
    with pytest.raises(ValueError, match=rf"style picture of \({side}, 60\).*12 x 12.*at least {least} x {least}"):
        paint(features, rand(1, 1, side, 60), steps=steps)
    paint(features, rand(1, 1, least, 60), steps=(1,) * len(steps))  # the least that is accepted


def test_a_small_style_is_refused_by_the_network_too():
    with pytest.raises(ValueError, match="FastStyle got a style picture of .*at least 24 x 24"):
        FastStyle(rand(1, 1, 23, 23), width=4)
    FastStyle(rand(1, 1, 24, 24), width=4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(style=rand(1, 3, 32, 32)), "a style picture with 1 channels and got 3"),
        (dict(style=rand(2, 1, 32, 32)), "got 2 style pictures"),
        (dict(style=2 * torch.ones(1, 1, 32, 32)), r"Accepted: \[-1, 1\]"),
        (dict(content=rand(1, 3, 32, 32)), "a content picture with 1 channels and got 3"),
        (dict(content_weight=-1), "weights of at least 0"),
        (dict(roughness=-0.1), "weights of at least 0"),
        (dict(n=0), "1 or more"),
    ],
)
def test_what_paint_refuses(given, said):
    with pytest.raises(ValueError, match=said):
        paint(RandomFeatures(1, width=4), **{"style": stripes(), "steps": (1, 1), **given})


# The network


def test_a_step_teaches_the_network_and_leaves_features_and_style_alone():
    torch.manual_seed(0)
    model = FastStyle(stripes(), width=4)
    optimizers, batch = model.optimizers(), Batch(rand(3, 1, 24, 24), None, None, None)
    held = [p for group in optimizers["network"].param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.network.parameters()}
    kept, before = [b.clone() for b in model.buffers()], model.network.up.head.weight.clone()
    loss = model.training_step(batch, optimizers)["loss"]
    assert loss.isfinite() and not loss.requires_grad
    assert all(map(torch.equal, kept, model.buffers())) and not torch.equal(before, model.network.up.head.weight)


@pytest.mark.parametrize("shape", [(2, 1, 24, 24), (1, 1, 29, 31), (3, 1, 16, 20)])
def test_translated_pictures_have_their_size_and_the_datas_range(shape):
    got = FastStyle(stripes(), width=4).translate(rand(*shape))
    assert got.shape == shape
    al.data.check_images(got, "test")


def test_training_brings_pictures_nearer_to_the_style():
    style = al.data.load("textures", size=32).images[:1]  # brick
    torch.manual_seed(0)
    model, ds = FastStyle(style, width=8, content_weight=0.0), al.data.ImageSet(rand(16, 1, 32, 32))
    measure = lambda: style_distance(
        model.features(model.translate(ds.images)), model.features(style), torch.Generator().manual_seed(0)
    ).item()
    before = measure()
    al.fit(model, ds, steps=40, batch_size=4, seed=0, progress=False)
    assert measure() < 0.7 * before


# Pictures drawn by rules


@pytest.mark.parametrize("draw", [al.data.pencil, al.data.oil])
def test_drawn_pictures_have_their_size_and_range_and_follow_the_seed(draw):
    photo = al.data.photo("coffee", 48)[..., :40, :]
    a, b, c = draw(photo), draw(photo), draw(photo, seed=1)
    assert a.shape == (1, 3, 40, 48) and torch.equal(a, b) and not torch.equal(a, c)
    al.data.check_images(a, "test")


def test_a_drawing_keeps_light_and_dark():
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    halves = al.data.pencil(ramp).mean((0, 1, 2)).split(16)
    means = [half.mean().item() for half in halves]
    assert means == sorted(means) and means[-1] - means[0] > 0.8
    painted = al.data.oil(ramp.expand(1, 3, 64, 64)).mean((0, 1, 2)).split(16)
    assert [p.mean().item() for p in painted] == sorted(p.mean().item() for p in painted)


def test_a_pencil_draws_in_grey():
    drawn = al.data.pencil(al.data.photo("flower", 32))
    assert torch.equal(drawn[:, 0], drawn[:, 1]) and torch.equal(drawn[:, 0], drawn[:, 2])


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 3, 15, 32), (1, 2, 32, 32)])
@pytest.mark.parametrize("draw", [al.data.pencil, al.data.oil])
def test_what_cannot_be_drawn(draw, shape):
    with pytest.raises(ValueError, match=r"Accepted: one picture, \(1, .*at least 16 x 16"):
        draw(rand(*shape))
