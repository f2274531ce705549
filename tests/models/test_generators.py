"""What every generator of part 2 promises: its range, its samples, learning, repeatability, saving, and what it refuses."""

import copy

import pytest
import torch
from helpers import same

import aigc_lessons as al
from aigc_lessons.training import Batch

GANS = {
    "DCGAN": al.models.DCGAN,
    "clipped WGAN": lambda shape, **given: al.models.WGAN(shape, "clip", **given),
    "penalised WGAN": lambda shape, **given: al.models.WGAN(shape, "penalty", **given),
    "spectral WGAN": lambda shape, **given: al.models.WGAN(shape, "spectral", **given),
}
GENERATORS = {"VAE": al.models.VAE, **GANS}
LOSSES = {"VAE": {"loss", "reconstruction", "kl"}, "DCGAN": {"discriminator", "generator"}}

every_generator = pytest.mark.parametrize("kind", GENERATORS)
every_gan = pytest.mark.parametrize("kind", GANS)


def build(kind, image_shape=(1, 16, 16), seed=0, **given):
    torch.manual_seed(seed)
    return GENERATORS[kind](image_shape, **{"latent_dim": 5, "width": 4, **given})


def pictures(channels=1, n=64, size=16):
    return al.data.load("digits-8x8", size=size)[:n] if channels == 1 else al.data.load("shapes", size=size, n=n)


def batch(channels=1, n=8):
    return Batch(pictures(channels, n).images, None, None)


def painter(net):
    """The network that makes the samples."""
    return net.decoder if isinstance(net, al.models.VAE) else net.generator_ema.module


def drive(net, factor):
    """Make the layer before the final tanh `factor` times as strong."""
    with torch.no_grad():
        painter(net)[-2].weight.mul_(factor)


# Samples


@every_generator
@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 16, 16), (1, 32, 32), (3, 64, 64)])
def test_samples_have_the_shape_of_the_data_and_lie_in_its_range(kind, image_shape):
    net = build(kind, image_shape)
    x = net.sample(3, seed=1)
    assert x.shape == (3, *image_shape) and x.dtype == torch.float32 and not x.requires_grad
    al.data.check_images(x, "test")


@every_generator
def test_the_range_is_that_of_the_data_from_end_to_end(kind):
    """Driven hard, the picture's layer reaches -1 and 1 and stops there: as dark and as bright as the data, no more."""
    net = build(kind)
    data = pictures().images
    drive(net, 1e4)
    x = net.sample(20)
    assert x.min() >= -1 and x.max() <= 1
    assert x.min().item() == pytest.approx(data.min().item(), abs=1e-3) and x.max().item() == pytest.approx(
        data.max().item(), abs=1e-3
    )


@every_generator
def test_a_seed_gives_the_same_pictures_and_another_seed_others(kind):
    net = build(kind)
    drive(net, 1e3)  # so that a fresh network's pictures differ visibly
    first = net.sample(6, seed=3)
    torch.manual_seed(99)
    assert torch.equal(net.sample(6, seed=3), first)
    other = net.sample(6, seed=4)
    assert torch.pdist(torch.cat([first, other]).flatten(1)).min() > 0.1  # six pictures that differ, and six more
    assert torch.equal(net.sample(2), net.sample(2, seed=0))


@every_generator
def test_sampling_leaves_the_callers_random_state_alone(kind):
    net = build(kind)
    before = torch.get_rng_state()
    net.sample(5, seed=3)
    assert torch.equal(before, torch.get_rng_state())


@every_generator
@pytest.mark.parametrize("training", [True, False])
def test_sampling_changes_neither_weights_nor_statistics_nor_the_mode(kind, training):
    net = build(kind).train(training)
    before, modes = copy.deepcopy(net), {name: m.training for name, m in net.named_modules()}
    net.sample(5)
    assert same(before, net)
    assert [name for name, m in net.named_modules() if m.training != modes[name]] == []


@every_generator
def test_samples_do_not_depend_on_the_mode_or_on_their_neighbours(kind):
    net = build(kind)
    al.fit(net, pictures(), steps=2, batch_size=16)  # running statistics that are not those of the beginning
    x = net.eval().sample(4, seed=2)
    assert torch.equal(net.train().sample(4, seed=2), x)
    z = torch.randn(4, 5, *[1, 1] * (kind != "VAE"), device=x.device)
    torch.testing.assert_close(painter(net.eval())(z)[:3], painter(net)(z[:3]))


@every_generator
@pytest.mark.parametrize("channels", [1, 3])
def test_no_pictures_at_all(kind, channels):
    x = build(kind, (channels, 16, 16)).sample(0)
    assert x.shape == (0, channels, 16, 16) and x.dtype == torch.float32


# Learning


@every_generator
@pytest.mark.parametrize("channels", [1, 3])
def test_fit_trains_on_grey_and_on_colour(kind, channels):
    net = build(kind, (channels, 16, 16))
    before = copy.deepcopy(net)
    history = al.fit(net, pictures(channels), steps=3, batch_size=16, seed=5)
    assert history.losses.keys() == LOSSES.get(kind, {"critic", "generator"})
    assert all(len(values) == 3 for values in history.losses.values())
    still = {name for name, p in net.named_parameters() if torch.equal(p.cpu(), dict(before.named_parameters())[name])}
    # Moving all scores alike changes no difference between them: a critic's last bias may stay where it was.
    assert still <= {f"critic.{len(net.critic) - 2}.bias"} if "WGAN" in kind else not still
    al.data.check_images(net.sample(4), "test")


@every_generator
def test_a_training_step_returns_scalars_without_a_graph(kind):
    net = build(kind)
    losses = net.training_step(batch(), net.optimizers())
    assert all(v.shape == () and v.isfinite() and not v.requires_grad for v in losses.values())


@every_generator
def test_every_trained_weight_has_one_optimizer(kind):
    net = build(kind, lr=3e-4)
    groups = [group for optimizer in net.optimizers().values() for group in optimizer.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    trained = {id(p) for name, p in net.named_parameters() if not name.startswith("generator_ema")}
    assert len(held) == len(set(held)) and set(held) == trained
    assert all(group["lr"] == 3e-4 for group in groups)


@every_gan
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gans_samples_come_to_look_like_the_data_on_average(kind, channels):
    net = build(kind, (channels, 16, 16), width=8, lr=1e-3, ema_decay=0.9)
    ds = pictures(channels, 128)

    def distance(images):
        return (images.mean(0).cpu() - ds.images.mean(0)).square().mean().sqrt().item()

    untrained, one_shade = (
        distance(net.sample(128, seed=1)),
        distance(ds.images.mean((0, 2, 3), keepdim=True).expand_as(ds.images)),
    )
    al.fit(net, ds, steps=200 if kind == "penalised WGAN" else 100, batch_size=32, seed=0)
    x = net.sample(128, seed=1)
    # `fit` begins at the mean shade. Digits have a shape in common that must be learnt; shapes, anywhere in the picture, have none.
    assert distance(x) < (0.45 * one_shade if channels == 1 else 0.2 * untrained)
    assert x.std(0).mean() > 0.4 * ds.images.std(0).mean()  # not one picture over and over


@every_generator
def test_the_same_seed_trains_to_the_same_weights_and_samples(kind):
    nets = []
    for seed in (5, 5, 6):
        nets.append(build(kind))
        al.fit(nets[-1], pictures(), steps=4, batch_size=16, seed=seed)
    assert same(nets[0], nets[1]) and torch.equal(nets[0].sample(3), nets[1].sample(3))
    assert not torch.allclose(painter(nets[0])[-2].weight, painter(nets[2])[-2].weight)


# Saving


@every_generator
def test_saved_weights_make_the_same_pictures(kind, tmp_path):
    net, other = build(kind), build(kind, seed=1)
    al.fit(net, pictures(), steps=2, batch_size=16)
    assert not torch.allclose(net.sample(3), other.to(al.settings().device).sample(3))
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(net.sample(3), other.sample(3))


@every_generator
def test_a_run_continued_from_its_checkpoint_ends_where_the_whole_run_ends(kind, tmp_path):
    whole, first, second = build(kind), build(kind), build(kind, seed=1)
    al.fit(whole, pictures(), steps=6, batch_size=16, seed=5)
    al.fit(first, pictures(), steps=3, batch_size=16, seed=5, checkpoint=tmp_path / "run.pt")
    history = al.fit(second, pictures(), steps=6, batch_size=16, seed=5, checkpoint=tmp_path / "run.pt")
    assert history.steps == 6 and same(whole, second) and not same(whole, first)
    assert torch.equal(whole.sample(3), second.sample(3))


# What they refuse


@every_generator
def test_labels_are_refused(kind):
    with pytest.raises(ValueError, match=r"labels.*Call sample\(n\) without labels="):
        build(kind).sample(2, labels=torch.tensor([1, 2]))


@every_generator
@pytest.mark.parametrize("latent_dim", [0, -3])
def test_a_picture_is_made_from_at_least_one_number(kind, latent_dim):
    with pytest.raises(ValueError, match=rf"latent_dim={latent_dim}\): accepted is 1 or more"):
        build(kind, latent_dim=latent_dim)
    assert build(kind, latent_dim=1).sample(2).shape == (2, 1, 16, 16)


@every_generator
@pytest.mark.parametrize("channels", [0, 2, 4])
def test_pictures_are_grey_or_coloured(kind, channels):
    with pytest.raises(ValueError, match=rf"accepted are 1 channel \(grey\) or 3 \(colour\), not {channels}"):
        build(kind, (channels, 16, 16))


@every_generator
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (1, 4, 4), (3, 128, 128), (3, 16, 32), (1, 32, 16), (1, 0, 0)])
def test_sizes_that_cannot_be_made_name_those_that_can(kind, image_shape):
    with pytest.raises(ValueError, match="squares of side 8, 16, 32, 64") as refused:
        build(kind, image_shape)
    assert str(image_shape) in str(refused.value)


@every_gan
def test_gans_refuse_a_batch_of_one_and_are_left_as_they_were(kind):
    net = build(kind)
    before = copy.deepcopy(net)
    with pytest.raises(ValueError, match="batch norm, which needs more than one picture. Give batch_size=2"):
        net.training_step(batch(n=1), net.optimizers())
    assert same(before, net)
    net.training_step(batch(n=2), net.optimizers())


@pytest.mark.parametrize("kind", GENERATORS)
def test_pictures_of_another_size_are_refused_and_nothing_is_learnt(kind):
    net = build(kind, (1, 8, 8))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for shape in ((1, 16, 16), (3, 8, 8)):
        with pytest.raises(
            ValueError, match=rf"takes images of shape \(1, 8, 8\) and got \({shape[0]}, {shape[1]}, {shape[2]}\)"
        ):
            net.training_step(al.training.Batch(torch.zeros(4, *shape), None, None), net.optimizers())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_network_without_width_is_refused(kind):
    with pytest.raises(ValueError, match=r"width=0\): accepted is 1 or more"):
        build(kind, width=0)
