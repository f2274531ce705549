"""Autoencoder, LatentFlow, VQ: shapes, steps by hand, what stays frozen, what a file holds, dead entries, and what is refused."""

import copy
import re

import pytest
import torch
from helpers import digits, same, trains_exactly

import aigc_lessons as al
from aigc_lessons.shipped import half_precision, load_weights, reading, save_weights
from aigc_lessons.training import Batch

COLOUR = (3, 16, 16)


def colourful(n=48, size=16):
    """Shapes as four classes."""
    ds = al.data.load("shapes", size=size, n=n, seed=3)
    return al.data.ImageSet(ds.images, ds.labels % 4, classes=tuple("abcd"), name="shapes", licence=ds.licence)


def autoencoder(seed=0, **given):
    torch.manual_seed(seed)
    return al.models.Autoencoder(**{"image_shape": COLOUR, "width": 8, **given})


def latent_flow(seed=0, first=None, **given):
    first = first or autoencoder()
    torch.manual_seed(seed)
    return al.models.LatentFlow(first, **{"n_classes": 4, "width": 8, "multipliers": (1,), **given})


def vq(seed=0, **given):
    torch.manual_seed(seed)
    return al.models.VQ(**{"image_shape": (1, 16, 16), "entries": 12, "width": 8, **given})


@pytest.fixture(scope="module")
def trained():
    """A flow of a few steps, with its scale."""
    model = latent_flow()
    al.fit(model, colourful(), steps=3, batch_size=16, progress=False)
    return model


# The autoencoder


@pytest.mark.parametrize(("shape", "factor"), [((1, 16, 16), 2), ((3, 16, 24), 4), ((3, 64, 64), 8)])
def test_latents_are_smaller_pictures(shape, factor):
    model = autoencoder(image_shape=shape, factor=factor, latent_channels=5)
    x = torch.rand(2, *shape) * 2 - 1
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (2, *model.latent_shape) == (2, 5, shape[1] // factor, shape[2] // factor)
    assert model.decode(mu).shape == x.shape and model.rebuild(x).abs().max() <= 1


def test_a_step_is_the_printed_algorithm():
    model, x = autoencoder(beta=0.5), colourful(8).images
    twin = copy.deepcopy(model)
    torch.manual_seed(4)
    losses = model.training_step(Batch(x, None, None), {"autoencoder": torch.optim.SGD(model.parameters(), lr=1.0)})
    torch.manual_seed(4)
    mu, logvar = twin.encode(x)
    made = twin.decode(mu + (logvar / 2).exp() * torch.randn_like(mu))
    kl = 0.5 * (mu.square() + logvar.exp() - logvar - 1).flatten(1).sum(1).mean()
    loss = 0.5 * (made - x).square().flatten(1).sum(1).mean() + 0.5 * kl
    (loss / x[0].numel()).backward()
    torch.testing.assert_close(losses["loss"], loss.detach())
    torch.testing.assert_close(losses["kl"], kl.detach())
    norm = torch.cat([p.grad.flatten() for p in twin.parameters()]).norm().clamp(min=1)
    for mine, theirs in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(mine.detach(), (theirs - theirs.grad / norm).detach(), rtol=1e-4, atol=1e-6)


def test_an_autoencoder_starts_from_the_mean_picture_and_learns():
    ds = colourful(64)
    model = autoencoder()
    model.begin(ds.images)
    error = lambda: (model.rebuild(ds.images) - ds.images).square().mean().item()
    spread = (ds.images - ds.images.mean((0, 2, 3), keepdim=True)).square().mean().item()
    start = error()
    al.fit(model, ds, steps=60, batch_size=16, progress=False)
    assert start < 1.5 * spread and error() < 0.5 * spread


def test_training_of_all_three_is_repeatable_and_resumes(tmp_path):
    trains_exactly(lambda seed=0: autoencoder(seed), colourful(), tmp_path / "autoencoder.pt")
    first = autoencoder()
    trains_exactly(lambda seed=0: latent_flow(seed, first), colourful(), tmp_path / "flow.pt")
    trains_exactly(lambda seed=0: vq(seed, revive=2), digits(), tmp_path / "vq.pt")


# The flow among latents


def test_the_scale_is_measured_once_on_all_training_pictures(trained):
    ds = colourful()
    scaled = trained.encode(ds.images)
    assert scaled.std().item() == pytest.approx(1, abs=0.02)
    model = copy.deepcopy(trained)
    model.begin(ds.images.clamp(-0.1, 0.1))  # other pictures: the network knows the first scale
    assert torch.equal(model.scale, trained.scale)


def test_decoding_what_was_encoded_does_not_depend_on_the_scale(trained):
    x = colourful(6).images
    there = trained.decode(trained.encode(x))
    torch.testing.assert_close(there, trained.autoencoder.rebuild(x), rtol=1e-4, atol=1e-5)
    for scale in (0.1, 7.0):
        model = copy.deepcopy(trained)
        model.scale.fill_(scale)
        torch.testing.assert_close(model.decode(model.encode(x)), there, rtol=1e-4, atol=1e-5)


def test_the_autoencoder_stays_as_it_is_and_the_learners_own_stays_free(trained):
    first = autoencoder()
    model = latent_flow(first=first)
    before = copy.deepcopy(model.autoencoder)
    al.fit(model, colourful(), steps=4, batch_size=16, progress=False)
    assert same(model.autoencoder, before) and same(first, before)
    assert not any(p.requires_grad for p in model.autoencoder.parameters())
    assert all(p.requires_grad for p in first.parameters())
    assert {id(p) for g in model.optimizers()["net"].param_groups for p in g["params"]} == {
        id(p) for p in model.net.parameters()
    }
    al.fit(first, colourful(), steps=1, batch_size=16, progress=False)  # and may be trained on
    assert same(model.autoencoder, before)


def test_a_step_is_a_step_of_a_flow_on_scaled_latents(trained):
    model, ds = copy.deepcopy(trained), colourful(8)
    flow = al.models.Flow(model.flow_shape, 4, width=8, multipliers=(1,), patch=1)
    flow.net.load_state_dict(model.net.state_dict())
    z = model.autoencoder.encode(ds.images)[0].detach() * model.scale
    losses = []
    for it, images in ((model, ds.images), (flow, z)):
        torch.manual_seed(2)
        losses.append(it.training_step(Batch(images, ds.labels, None), it.optimizers())["loss"])
    torch.testing.assert_close(*losses)
    for mine, theirs in zip(model.net.parameters(), flow.net.parameters()):
        torch.testing.assert_close(mine, theirs)


def test_samples_are_decoded_ends_of_the_flow(trained):
    noise = torch.randn(5, *trained.flow_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ends = al.flows.flow_sample(trained.velocity(torch.arange(5) % 4), noise, 2, "euler")
        by_hand = trained.autoencoder.decode(ends / trained.scale)
    x = trained.sample(5, seed=3, steps=2, solver="euler")
    torch.testing.assert_close(x, by_hand)
    al.data.check_images(x, "test")
    assert x.shape == (5, *COLOUR) and trained.sample(2, labels=3, guidance_scale=2.0, steps=1).shape == (2, *COLOUR)


def test_a_file_holds_the_scale_and_the_part_has_its_own(tmp_path, monkeypatch):
    """Saved, loaded into a fresh model, the same pictures; the autoencoder's weights stand in its own file alone."""
    monkeypatch.setattr(reading, "SHIPPED", tmp_path)
    first = half_precision(autoencoder())
    save_weights(
        first, "first", {"command": "-", "model": "Autoencoder", "arguments": {"image_shape": COLOUR, "width": 8}}
    )
    model = latent_flow(first=first)
    al.fit(model, colourful(), steps=2, batch_size=16, progress=False)
    half_precision(model)
    record = {"command": "-", "model": "LatentFlow", "parts": {"autoencoder": "first"}}
    save_weights(model, "flow", {**record, "arguments": {"n_classes": 4, "width": 8, "multipliers": [1]}})
    assert not any(key.startswith("autoencoder") for key in reading.read_weights("flow"))
    loaded = al.shipped("flow").cpu()
    assert torch.equal(loaded.scale, model.scale) and loaded.scale != 1
    torch.testing.assert_close(loaded.sample(3, steps=2), model.sample(3, steps=2), rtol=1e-4, atol=1e-5)
    other = load_weights(latent_flow(first=autoencoder(seed=7)), "flow")
    with pytest.raises(ValueError, match="learnt latents of autoencoder and scale"):
        other.sample(1)


def test_latents_of_another_autoencoder_or_scale_are_refused(trained, tmp_path):
    for change in ("weight", "scale"):
        model = copy.deepcopy(trained)
        with torch.no_grad():
            (model.scale if change == "scale" else next(model.autoencoder.parameters())).mul_(1.5)
        with pytest.raises(ValueError, match="Build it with the autoencoder that it was trained with"):
            model.sample(1)
        with pytest.raises(ValueError, match="Build it with the autoencoder"):
            al.fit(model, colourful(), steps=1, batch_size=16)
    file = tmp_path / "run.pt"
    al.fit(latent_flow(), colourful(), steps=1, batch_size=16, checkpoint=file, progress=False)
    with pytest.raises(ValueError, match="first_stage"):
        al.fit(latent_flow(first=autoencoder(seed=1)), colourful(), steps=2, batch_size=16, checkpoint=file)


# The codebook


def test_codes_are_a_grid_of_whole_numbers_for_the_models_of_lesson_26():
    model, x = vq(), digits(10).images
    codes = model.encode(x)
    assert codes.dtype == torch.int64 and codes.shape == (10, 16) and model.grid == (4, 4)
    assert 0 <= codes.min() and codes.max() < 12
    prior = al.models.PixelCNN(levels=model.entries, shape=model.grid, width=8, depth=1)
    al.fit(prior, codes, steps=2, batch_size=5, progress=False)
    drawn = prior.complete(codes, known=0, seed=1)
    assert model.decode(drawn).shape == x.shape


def test_codes_stand_row_by_row():
    model = vq()
    x = digits(3).images
    z = model.encoder(x)
    at = codes = model.encode(x).view(3, 4, 4)
    for row, column in ((0, 3), (2, 1)):
        distances = (z[:, :, row, column, None] - model.codebook.T).square().sum(1)
        assert torch.equal(at[:, row, column], distances.argmin(1))
    by_hand = model.decoder(model.codebook[codes].movedim(-1, 1)).detach()
    torch.testing.assert_close(model.decode(codes.flatten(1)), by_hand)
    torch.testing.assert_close(model.rebuild(x), by_hand)


def test_a_vq_step_is_the_printed_algorithm():
    model, x = vq(revive=0, beta=0.5), digits(8).images
    twin = copy.deepcopy(model)
    losses = model.training_step(Batch(x, None, None), {"vq": torch.optim.SGD(model.parameters(), lr=1.0)})
    z = twin.encoder(x).movedim(1, -1).reshape(-1, 8)
    codes = torch.cdist(z, twin.codebook).argmin(1)
    z_q = z + (twin.codebook[codes] - z).detach()
    made = twin.decoder(z_q.view(8, 4, 4, 8).movedim(-1, 1))
    rows = twin.codebook[codes]
    loss = (made - x).square().mean() + (z.detach() - rows).square().mean() + 0.5 * (z - rows.detach()).square().mean()
    loss.backward()
    torch.testing.assert_close(losses["loss"], loss.detach())
    norm = torch.cat([p.grad.flatten() for p in twin.parameters()]).norm().clamp(min=1)
    for mine, theirs in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(mine.detach(), (theirs - theirs.grad / norm).detach(), rtol=1e-4, atol=1e-6)


def test_unused_entries_are_put_where_vectors_are_after_so_many_steps():
    model = vq(entries=3, revive=2)
    z, codes = torch.randn(5, 8), torch.tensor([0, 0, 0, 0, 0])
    before = model.codebook.detach().clone()
    model.revive_unused(z, codes)
    assert torch.equal(model.codebook, before) and model.unused.tolist() == [0, 1, 1]
    model.revive_unused(z, codes)
    assert torch.equal(model.codebook[0], before[0]) and model.unused.tolist() == [0, 0, 0]
    for entry in model.codebook[1:]:
        assert (entry == z).all(1).any()


def test_reviving_keeps_more_entries_in_use():
    """From a codebook that begins far away from all vectors: one entry takes them all."""
    use, images = {}, digits(128).images
    for revive in (0, 5):
        model = vq(entries=32, revive=revive)
        with torch.no_grad():
            model.codebook.mul_(50).add_(5)
        al.fit(model, images, steps=30, batch_size=32, progress=False)
        use[revive] = al.latents.codebook_perplexity(model.encode(images), 32).item()
    assert use[0] < 3 and use[5] > 6


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: autoencoder(factor=3), "factors 2, 4 and 8"),
        (lambda: autoencoder(image_shape=(3, 20, 16), factor=8), "that divide height and width"),
        (lambda: autoencoder(latent_channels=0), "latent_channels=0"),
        (lambda: autoencoder(beta=-1), "beta=-1"),
        (lambda: autoencoder().encode(torch.zeros(1, 3, 8, 8)), "takes images of shape (3, 16, 16)"),
        (lambda: latent_flow(first=autoencoder(factor=8)), "LatentFlow(image_shape=(4, 2, 2)"),
        (lambda: latent_flow().sample(2, steps=0), "steps=0"),
        (lambda: latent_flow(n_classes=0).sample(2, guidance_scale=2.0), "is unconditional"),
        (lambda: al.fit(latent_flow(), digits(), steps=1), "takes images of shape (3, 16, 16)"),
        (lambda: vq(entries=0), "entries=0"),
        (lambda: vq(revive=-1), "revive=-1"),
        (lambda: vq().decode(torch.zeros(2, 9, dtype=torch.int64)), "shape (N, 16)"),
        (lambda: vq().decode(torch.full((2, 16), 12)), "0 to 11"),
    ],
)
def test_what_cannot_be_is_refused(build, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        build()
