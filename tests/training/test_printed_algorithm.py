"""Training is the algorithm that the lessons print, for every model: which weights a forward pass uses, who moves, what is read."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

import aigc_lessons as al
from aigc_lessons.data import ImageSet
from aigc_lessons.models.adversary import averaged
from aigc_lessons.models.checks import evaluating, leaky_tanh
from aigc_lessons.models.dcgan import gan_step
from aigc_lessons.training import Batch, loop

GREY, COLOUR = (1, 16, 16), (3, 16, 16)
SMALL = dict(latent_dim=5, width=4)
MODELS = {
    "Classifier": lambda: al.models.Classifier(GREY, 4, width=4, dropout=0.2),
    "VAE": lambda: al.models.VAE(GREY, **SMALL),
    "CVAE": lambda: al.models.CVAE(GREY, 4, **SMALL),
    "DCGAN": lambda: al.models.DCGAN(GREY, **SMALL),
    "clipped WGAN": lambda: al.models.WGAN(GREY, "clip", **SMALL),
    "penalised WGAN": lambda: al.models.WGAN(GREY, "penalty", **SMALL),
    "spectral WGAN": lambda: al.models.WGAN(GREY, "spectral", **SMALL),
    "CGAN": lambda: al.models.CGAN(GREY, 4, **SMALL),
    "ProjectionGAN": lambda: al.models.ProjectionGAN(GREY, 4, **SMALL),
    "mixed ConditionalGAN": lambda: al.models.ConditionalGAN(GREY, 4, **SMALL, generator="concatenation"),
    "Pix2Pix": lambda: al.models.Pix2Pix(3, 3, width=4),
    "CycleGAN": lambda: al.models.CycleGAN(3, width=4, blocks=1, buffer=3),
    "Denoiser": lambda: al.models.Denoiser(1, width=4),
    "plain Denoiser": lambda: al.models.Denoiser(1, width=4, layers=3),
    "SuperResolver": lambda: al.models.SuperResolver(1, width=4),
    "SuperResolver with texture": lambda: al.models.SuperResolver(1, width=4, texture_weight=0.3),
    "Diffusion": lambda: al.models.Diffusion(GREY, width=4),
    "Flow": lambda: al.models.Flow(GREY, 4, width=4),
    "unconditional Flow": lambda: al.models.Flow(GREY, width=4),
    "TextToImage": lambda: al.models.TextToImage(("one", "two"), 2, GREY, width=4),
    "FastStyle": lambda: al.models.FastStyle(torch.rand(1, 1, 24, 24) * 2 - 1, width=4),
    "Inpainter": lambda: al.models.Inpainter(1, width=4),
    "partial Inpainter": lambda: al.models.Inpainter(1, width=4, partial=True),
    "adversarial Inpainter": lambda: al.models.Inpainter(1, width=4, adversarial_weight=0.1),
    "Autoencoder": lambda: al.models.Autoencoder(GREY, width=4),
    "LatentFlow": lambda: al.models.LatentFlow(al.models.Autoencoder(GREY, width=4), 4, width=4, multipliers=(1,)),
    "VQ": lambda: al.models.VQ(GREY, width=4, entries=6),
    "PixelGRU": lambda: al.models.PixelGRU(4, (3, 5), width=4),
    "PixelCNN": lambda: al.models.PixelCNN(4, (3, 5), width=4),
}
TWO = (
    "DCGAN",
    "clipped WGAN",
    "penalised WGAN",
    "spectral WGAN",
    "CGAN",
    "ProjectionGAN",
    "mixed ConditionalGAN",
    "Pix2Pix",
    "CycleGAN",
    "adversarial Inpainter",
)
SAMPLERS = ("VAE", "CVAE", "DCGAN", "penalised WGAN", "CGAN", "ProjectionGAN")


def build(name, seed=0):
    torch.manual_seed(seed)
    return MODELS[name]()


def pictures(name, n=24, seed=1):
    """What a model of that name learns from: one set, or two domains."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda shape: ImageSet(
        torch.rand(n, *shape, generator=generator) * 2 - 1,
        torch.arange(n) % 4,
        ("one", "two two") * (n // 2),
        tuple("abcd"),
    )
    return (draw(COLOUR), draw(COLOUR)) if name in ("Pix2Pix", "CycleGAN") else draw(GREY)


def batch(name, where="cpu", n=8):
    if name.startswith("Pixel"):
        return Batch(torch.randint(4, (n, 15), generator=torch.Generator().manual_seed(1)).to(where), None, None)
    sets = pictures(name, n)
    parts = [
        Batch(ds.images.to(where), ds.labels.to(where), ds.captions, 4)
        for ds in (sets if isinstance(sets, tuple) else (sets,))
    ]
    return tuple(parts) if len(parts) > 1 else parts[0]


# ------------------------------------------------------------------ each forward uses the weights of now


def in_bf16(cache):
    return lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=cache)


def expected(layer, x):
    """What a layer answers with the weights that it has now, cast to bfloat16 as autocast does, in float32 arithmetic."""
    cast = lambda t: None if t is None else t.detach().bfloat16().float()
    x, weight, bias = cast(x), cast(layer.weight), cast(layer.bias)
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, layer.stride, layer.padding)
    if layer.padding_mode == "reflect":
        p = layer.padding[0]
        return F.conv2d(F.pad(x, (p, p, p, p), mode="reflect"), weight, bias, layer.stride)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def stale_forwards(model, step):
    """Runs step(), and returns how many forward passes of a layer differ from what its weights of that moment give, and of how many."""
    wrong = []

    def compare(layer, inputs, output):
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            was, iterating = (
                layer.training,
                [p for p in layer.modules() if isinstance(p, parametrize.ParametrizationList)],
            )
            for part in iterating:  # read spectral norm's weight without another power iteration
                part.eval()
            want = expected(layer, inputs[0])
            for part in iterating:
                part.train(was)
        wrong.append((output.float() - want).abs().max().item() > 0.02 * want.abs().max().item() + 1e-6)

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    handles = [m.register_forward_hook(compare) for m in layers]
    step()
    for handle in handles:
        handle.remove()
    return sum(wrong), len(wrong)


@pytest.mark.parametrize("name", TWO)
def test_each_forward_uses_the_weights_of_now(name, monkeypatch):
    """With large learning rates, so that a weight of before is told from one of now."""
    monkeypatch.setattr(loop, "autocast", in_bf16(cache=False))
    model = build(name)
    model.lr = 0.05
    assert stale_forwards(model, lambda: al.fit(model, pictures(name), steps=3, batch_size=8))[0] == 0


def test_with_a_cache_of_casts_forwards_use_weights_of_before(monkeypatch):
    """The test above can fail."""
    monkeypatch.setattr(loop, "autocast", in_bf16(cache=True))
    model = build("DCGAN")
    model.lr = 0.05
    stale, of = stale_forwards(model, lambda: al.fit(model, pictures("DCGAN"), steps=3, batch_size=8))
    assert 0 < stale < of


def test_the_courses_autocast_keeps_no_casts(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    with loop.autocast():
        assert not torch.is_autocast_cache_enabled()


@pytest.mark.parametrize("name", TWO)
def test_every_weight_of_every_optimizer_moves(name, monkeypatch):
    monkeypatch.setattr(loop, "autocast", in_bf16(cache=False))
    model = build(name)
    held = {}
    optimizers = model.optimizers
    model.optimizers = lambda: held.setdefault("now", optimizers())
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    al.fit(model, pictures(name), steps=3, batch_size=8)
    trained = {id(p) for o in held["now"].values() for group in o.param_groups for p in group["params"]}
    still = {key for key, p in model.named_parameters() if id(p) in trained and torch.equal(p.detach(), before[key])}
    # The same number added to all scores changes no difference between them: a Wasserstein critic's last bias has no gradient.
    assert still <= ({f"critic.{len(model.critic) - 2}.bias"} if "WGAN" in name else set())


def gradient_of_the_generator(step, cache):
    """The generator's gradient in one step of a small GAN under bfloat16, whose discriminator moves far."""
    torch.manual_seed(0)
    generator, discriminator = (
        nn.Linear(6, 12),
        nn.Sequential(nn.Linear(12, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0)),
    )
    opt_g, opt_d = torch.optim.SGD(generator.parameters(), lr=0.0), torch.optim.SGD(discriminator.parameters(), lr=3.0)
    real, noise = torch.randn(9, 12), torch.randn(9, 6)
    with in_bf16(cache)():
        step(generator, discriminator, opt_g, opt_d, real, noise)
    return generator.weight.grad.flatten()


def test_a_cache_of_casts_is_the_mistake_against_the_old_discriminator():
    """What the exercise `gan_step` calls by that name is what a cached cast does, and what ours does not."""
    old = next(m.function for m in al.exercises.get("gan_step").mistakes if m.name == "against the old discriminator")
    cosine = lambda a, b: F.cosine_similarity(a, b, dim=0).item()
    ours, cached = gradient_of_the_generator(gan_step, False), gradient_of_the_generator(gan_step, True)
    mistaken = gradient_of_the_generator(old, False)
    assert cosine(cached, mistaken) > 0.999
    assert cosine(ours, mistaken) < 0.95


# ------------------------------------------------------------------ nothing is read back, nothing is sent


class Traffic(TorchDispatchMode):
    """Counts what makes a host wait for an accelerator (reads), and what goes from one device to another (copies)."""

    READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero"}

    def __init__(self):
        super().__init__()
        self.reads, self.copies = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split(".")[0]
        masks = name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in self.READS or masks:
            self.reads.append(name)
        target = (kwargs or {}).get("device")
        if name == "_to_copy" and target is not None and torch.device(target).type != args[0].device.type:
            self.copies.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_reads_nothing_back(name):
    model = build(name).train()
    optimizers = model.optimizers()
    data = batch(name)
    model.training_step(data, optimizers)  # what is made once is made here
    with Traffic() as traffic:
        model.training_step(data, optimizers)
    assert traffic.reads == []


@pytest.mark.parametrize(
    "name", [name for name in MODELS if name != "TextToImage"]
)  # words lie on no device: they are sent
def test_a_training_step_takes_everything_from_the_device(name, monkeypatch):
    """On a device without any memory of its own, where a read is an error and a copy to it is seen."""
    for kind in ("Adam", "AdamW"):
        real = getattr(torch.optim, kind)
        monkeypatch.setattr(
            torch.optim,
            kind,
            lambda p, real=real, **given: real(p, **{**given, "fused": False, "capturable": False, "foreach": True}),
        )
    model = build(name).to("meta").train()
    optimizers = model.optimizers()
    model.training_step(batch(name, "meta"), optimizers)
    data = batch(name, "meta")
    with Traffic() as traffic:
        losses = model.training_step(data, optimizers)
    assert traffic.copies == [] and all(v.device.type == "meta" for v in losses.values())


def test_the_count_of_reads_can_fail():
    with Traffic() as traffic:
        x = torch.rand(5)
        x.sum().item(), bool(x.max() > 2), x[x > 0.5], x.to("meta")
    assert traffic.reads == ["_local_scalar_dense", "_local_scalar_dense", "index"] and traffic.copies == ["_to_copy"]


def test_an_average_reads_nothing_back():
    net = nn.Linear(3, 2)
    average = averaged(net, 0.9)
    with Traffic() as traffic:
        average.update_parameters(net)
    assert traffic.reads == []


@pytest.mark.parametrize("room", [True, False])
def test_data_goes_to_the_device_once_or_with_one_copy_a_step(room, monkeypatch):
    monkeypatch.setattr(loop, "roomy", lambda nbytes, where: room)
    data = pictures("CVAE")
    source = loop._Source(data, 8, 0, torch.device("meta"))
    source(0)  # the first step of an epoch brings its order
    with Traffic() as traffic:
        made = source(1)
    assert len(traffic.copies) == (0 if room else 1) and traffic.reads == []
    assert made.images.device.type == made.labels.device.type == "meta" and made.n_classes == 4


# ------------------------------------------------------------------ averages


def test_an_average_warms_up():
    """Closed form: the n-th update keeps min(decay, (1 + n) / (10 + n)) of what it was, buffers too."""
    net = nn.BatchNorm1d(3)
    average = averaged(net, 0.7)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        weight, mean = average.module.weight.clone(), average.module.running_mean.clone()
        for n in range(40):
            net.weight.add_(0.1)
            net.running_mean.sub_(0.3)
            net.num_batches_tracked.add_(1)
            average.update_parameters(net)
            decay = min(0.7, (1 + n) / (10 + n))
            weight = decay * weight + (1 - decay) * net.weight
            mean = decay * mean + (1 - decay) * net.running_mean
            torch.testing.assert_close(average.module.weight, weight)
            torch.testing.assert_close(average.module.running_mean, mean)
    assert average.module.num_batches_tracked == 40
    with pytest.raises(ValueError, match="ema_decay=1.0: accepted"):
        averaged(net, 1.0)


def test_soon_nothing_of_the_untrained_network_is_left():
    net = nn.Linear(1, 1, bias=False)
    average = averaged(net, 0.995)
    with torch.no_grad():
        average.module.weight.fill_(1.0)
        net.weight.zero_()
        for _ in range(50):
            average.update_parameters(net)
    assert average.module.weight.item() < 1e-6  # 0.78 without the warm-up


# ------------------------------------------------------------------ modes


class Frozen(nn.Module):
    """A classifier on top of a part that somebody else has trained."""

    def __init__(self, how):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
        self.head = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(4))
        self.head(torch.zeros(2, 3, 14, 14))
        if how == "weights":
            self.features.requires_grad_(False)
        else:
            self.features.eval()

    def forward(self, x):
        return self.head(self.features(x))

    def optimizers(self):
        return {"head": torch.optim.SGD(self.head.parameters(), lr=0.1)}

    def training_step(self, batch, optimizers):
        self.seen = (self.features[1].training, self.head[1].training)
        loss = F.cross_entropy(self(batch.images), batch.labels)
        optimizers["head"].zero_grad()
        loss.backward()
        optimizers["head"].step()
        return {"loss": loss.detach()}

    def sample(self, n, seed=0):
        with evaluating(self):
            return self(torch.zeros(n, 1, 16, 16))[:, :1, None, None].clamp(-1, 1)


@pytest.mark.parametrize("how", ["weights", "mode"])
def test_a_frozen_part_stays_frozen(how):
    model = Frozen(how)
    statistics = lambda m: (m.running_mean.clone(), m.num_batches_tracked.clone())
    frozen, free = statistics(model.features[1]), statistics(model.head[0])
    al.fit(
        model,
        pictures("CVAE"),
        steps=4,
        batch_size=8,
        measure=lambda m: {"mode": float(m.training)},
        measure_every=1,
        preview=lambda m: m.sample(2),
    )
    assert model.seen == (False, True)
    if how == "weights":  # a model that comes out of fit is in eval mode as a whole
        al.fit(model, pictures("CVAE"), steps=2, batch_size=8)
        assert model.seen == (False, True)
    model.sample(3)
    assert all(torch.equal(a, b) for a, b in zip(frozen, statistics(model.features[1])))
    assert not torch.equal(free[0], statistics(model.head[0])[0])


@pytest.mark.parametrize("name", SAMPLERS)
def test_looking_at_a_model_restores_each_parts_mode(name):
    model = build(name).train()
    part = next(m for m in model.modules() if not list(m.children()) and m is not model)
    part.eval()
    modes = {key: m.training for key, m in model.named_modules()}
    assert len(set(modes.values())) == 2
    model.sample(3)
    assert {key: m.training for key, m in model.named_modules()} == modes


def test_modes_are_restored_after_an_error_too():
    model = build("DCGAN").train()
    model.generator[1].eval()
    with contextlib.suppress(RuntimeError), evaluating(model):
        assert not any(m.training for m in model.modules())
        raise RuntimeError
    assert model.training and not model.generator[1].training and model.generator[0].training


# ------------------------------------------------------------------ samples, data, noise


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_are_made_in_chunks(name):
    model, sizes = build(name), []
    last = [m for m in model.modules() if isinstance(m, nn.ConvTranspose2d)]
    for layer in last:
        layer.register_forward_hook(lambda layer, inputs, output: sizes.append(len(output)))
    x = model.sample(700, seed=3)
    assert len(x) == 700 and max(sizes) <= 250
    torch.testing.assert_close(x[:260], model.sample(700, seed=3)[:260])


class Points(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.seen, self.noise = nn.Parameter(torch.zeros(())), [], []

    def optimizers(self):
        return {"w": torch.optim.SGD([self.weight], lr=0.1)}

    def training_step(self, batch, optimizers):
        self.seen.append(batch.images)
        self.noise.append(torch.rand(()))
        return {"loss": self.weight.detach()}


@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((2,), torch.float32),
        ((), torch.float32),
        ((3, 5), torch.float32),
        ((7,), torch.int64),
        ((2, 4, 4), torch.float32),
    ],
)
def test_fit_takes_any_finite_tensor(shape, dtype):
    model = Points()
    data = (torch.randn(12, *shape, generator=torch.Generator().manual_seed(1)) * 50).to(dtype)
    al.fit(model, data, steps=3, batch_size=4)
    seen = torch.cat(model.seen)
    assert seen.dtype == dtype and torch.equal(
        seen.flatten(1).sum(-1).sort().values if shape else seen.sort().values,
        data.flatten(1).sum(-1).sort().values if shape else data.sort().values,
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    data = torch.zeros(9, 2)
    data[4, 1] = value
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 9 items, the first at index 4"):
        al.fit(Points(), data, steps=2, batch_size=3)
    with pytest.raises(TypeError, match="fit got list"):
        al.fit(Points(), [1.0, 2.0], steps=2, batch_size=1)


def test_noise_depends_on_seed_step_and_process_alone(monkeypatch):
    def drawn(seed, steps=4, rank=0, spoil=False):
        model = Points()
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: rank > 0)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
        measure = (lambda m: {"x": torch.rand(1_000).sum()}) if spoil else None
        al.fit(
            model,
            torch.zeros(12, 1),
            steps=steps,
            batch_size=4,
            seed=seed,
            measure=measure,
            measure_every=1 if spoil else None,
        )
        return torch.stack(model.noise)

    first = drawn(3)
    assert (
        torch.equal(first, drawn(3))
        and torch.equal(first, drawn(3, steps=6)[:4])
        and torch.equal(first, drawn(3, spoil=True))
    )
    others = torch.cat([first, drawn(4), drawn(3, rank=1), drawn(3, rank=2)])
    assert len(others.unique()) == 16


@pytest.mark.parametrize("name", ["DCGAN", "ProjectionGAN", "Inpainter", "CycleGAN", "Denoiser", "TextToImage"])
def test_a_resumed_run_needs_no_random_state(name, tmp_path):
    """Bit for bit, whatever was drawn in between."""
    whole, first, second = (build(name, seed) for seed in (0, 0, 7))
    al.fit(whole, pictures(name), steps=5, batch_size=8, seed=2)
    al.fit(first, pictures(name), steps=2, batch_size=8, seed=2, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(99)
    torch.rand(17)
    al.fit(second, pictures(name), steps=5, batch_size=8, seed=2, checkpoint=tmp_path / "run.pt")
    for (key, a), b in zip(whole.named_parameters(), second.parameters()):
        assert torch.equal(a, b), key


# ------------------------------------------------------------------ grounds at the end of the range

GROUNDS = {"digits": -1.0, "emoji": 1.0}  # about 85 % exactly black, about 66 % exactly white
MIDDLE = dict(latent_dim=16, width=8)
WITH_TANH = {
    "VAE": lambda shape: al.models.VAE(shape, **MIDDLE),
    "CVAE": lambda shape: al.models.CVAE(shape, 15, **MIDDLE),
    "DCGAN": lambda shape: al.models.DCGAN(shape, **MIDDLE),
    "clipped WGAN": lambda shape: al.models.WGAN(shape, "clip", **MIDDLE),
    "penalised WGAN": lambda shape: al.models.WGAN(shape, "penalty", **MIDDLE),
    "spectral WGAN": lambda shape: al.models.WGAN(shape, "spectral", **MIDDLE),
    "CGAN": lambda shape: al.models.CGAN(shape, 15, **MIDDLE),
    "ProjectionGAN": lambda shape: al.models.ProjectionGAN(shape, 15, **MIDDLE),
    "Pix2Pix": lambda shape: al.models.Pix2Pix(shape[0], shape[0], width=8),
    "CycleGAN": lambda shape: al.models.CycleGAN(shape[0], width=4, blocks=1),
    "Inpainter": lambda shape: al.models.Inpainter(shape[0], width=8),
    "partial Inpainter": lambda shape: al.models.Inpainter(shape[0], width=8, partial=True),
    "adversarial Inpainter": lambda shape: al.models.Inpainter(shape[0], width=8, adversarial_weight=0.05),
}


def on_a_ground(name, size):
    """The first 600 pictures, their labels, and the share of pixels that are exactly the ground."""
    ds = al.data.load(name, size=size)[:600]
    return ds, (ds.images == GROUNDS[name]).float().mean().item()


def answers(kind, model, data):
    """(made, wanted, where): pair by pair for models that reconstruct, translate or restore; wanted None for those that draw."""
    everywhere = torch.ones_like(data.images[:, :1])
    if kind == "Pix2Pix":
        return model.translate(data.images.flip(-1)), data.images, everywhere
    if kind == "CycleGAN":
        return model.translate(data.images), None, None
    if "Inpainter" in kind:
        mask = al.data.draw_masks("box", len(data), data.images.shape[-1], 0.25, seed=5)
        return model.restore(data.images, mask), data.images, 1 - mask
    with torch.no_grad():
        if kind == "VAE":
            return model.decode(model.encode(data.images)[0]), data.images, everywhere
        if kind == "CVAE":
            return model.decode(model.encode(data.images, data.labels)[0], data.labels), data.images, everywhere
    return model.sample(len(data), seed=1), None, None


def distance_of_blocks(a, b):
    """Fréchet distance between means of 4x4 blocks, where there are no pairs to compare."""
    blocks = lambda x: F.avg_pool2d(x, 4).flatten(1)
    return al.metrics.fid(blocks(a), blocks(b))


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("kind", WITH_TANH)
def test_a_ground_at_the_end_of_the_range_is_no_trap(kind, ground, laptop):
    """200 steps beat the constant answer, and what is made is not the same everywhere."""
    size = 32 if "VAE" in kind or "Inpainter" in kind else 16  # where the trap is known to shut
    data, share = on_a_ground(ground, size)
    assert share > (0.75 if ground == "digits" else 0.6) * (1 if size == 32 else 0.8)
    torch.manual_seed(0)
    model = WITH_TANH[kind](tuple(data.images.shape[1:]))
    mirrored = ImageSet(data.images.flip(-1).contiguous())
    learnt = {"Pix2Pix": (mirrored, data), "CycleGAN": (mirrored, data)}.get(kind, data)
    al.fit(model, learnt, steps=200, batch_size=32, seed=0, progress=False)
    made, wanted, where = answers(kind, model, data)
    made = made.cpu()
    if wanted is None:
        constant = data.images.mean(0, keepdim=True).expand_as(data.images)
        assert distance_of_blocks(made, data.images) < 0.9 * distance_of_blocks(constant, data.images)
        assert made.flatten(1).std(1).mean() > 0.1
        return
    error = lambda x: ((x - wanted).abs() * where).sum() / (where.sum() * wanted.shape[1])
    ground_everywhere = torch.full_like(wanted, GROUNDS[ground])
    # In the trap the two are equal to the last digit. In a hole in a digit L1 is slow to leave black, which is its median.
    assert error(made) < error(ground_everywhere)
    if (kind, ground) not in [("Inpainter", "digits"), ("adversarial Inpainter", "digits")]:
        assert made[where.expand_as(made) > 0].std() > 0.02


def test_from_the_other_end_of_the_range_the_trap_shuts(laptop):
    """The test above can fail: a VAE that starts bright on a black ground ends as all black."""
    data, _ = on_a_ground("digits", 32)
    torch.manual_seed(0)
    model = WITH_TANH["VAE"]((1, 32, 32))
    nn.init.constant_(model.decoder[-2].bias, 0.5)  # not 0: `begin` takes it for trained
    al.fit(model, data, steps=200, batch_size=32, seed=0, progress=False)
    made, wanted, _ = answers("VAE", model, data)
    assert (made - wanted).abs().mean() > (wanted + 1).abs().mean()


def test_a_leaky_tanh_is_tanh_with_a_gradient_that_stays():
    x = torch.linspace(-60, 60, 41, dtype=torch.float64, requires_grad=True)
    y = leaky_tanh(x, leak=0.1)
    torch.testing.assert_close(y, x.tanh())
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, 1 - x.detach().tanh() ** 2 + 0.1)
