"""One training step of each of the course's models as boxes on a lattice: what goes forward, and where the gradient flows back.
Of a flow, the guided step of its sampler too.

A box is (look, words, column, row). A way is "a > b": forward; "a <> b": forward, and the gradient comes back along it;
"a | b": forward, and there the gradient is cut. Tests run the real steps and compare which network learns.
"""

from torch import nn

LEARNS, FROZEN = "learns", "frozen"


def steps_of(model):
    """{name of the step: function of the model that gives its boxes and ways}, or {} for a model that is none of the course's."""
    return _STEPS.get(type(model).__name__, dict)() if _of_the_course(model) else {}


def networks_of(model):
    """[(name, network, shapes of its inputs, their names)] of one of the course's models, or [] for any other."""
    return _NETWORKS[type(model).__name__](model) if _of_the_course(model) and type(model).__name__ in _NETWORKS else []


def _of_the_course(model):
    return type(model).__module__.startswith("aigc_lessons.models")


def _net(words, column, row, learns):
    return (LEARNS if learns else FROZEN, f"{words}\n{'learns' if learns else 'does not change'}", column, row)


def _shape(*sizes):
    return "×".join(map(str, sizes))


def _size(model):
    return _shape(*model.image_shape)


def _critic_step(model, judge, loss):
    """The judge learns to tell real from generated; the generator is cut off by detach."""
    boxes = {
        "z": ("data", f"noise z\n{model.latent_dim} numbers", 0, 1),
        "G": _net("generator", 1, 1, False),
        "fake": ("data", f"generated\n{_size(model)}", 2, 1),
        "real": ("data", f"real\n{_size(model)}", 2, 0),
        "D": _net(judge, 3, 1, True),
        "loss": ("loss", loss, 4, 1),
    }
    ways = ["z > G", "G > fake", "fake | D", "real > D", "D <> loss"]
    return _conditioned(model, boxes, ways)


def _generator_step(model, judge, loss):
    """The gradient passes through the judge, which does not change, into the generator."""
    boxes = {
        "z": ("data", f"noise z\n{model.latent_dim} numbers", 0, 1),
        "G": _net("generator", 1, 1, True),
        "fake": ("data", f"generated\n{_size(model)}", 2, 1),
        "D": _net(judge, 3, 1, False),
        "loss": ("loss", loss, 4, 1),
    }
    return _conditioned(model, boxes, ["z > G", "G <> fake", "fake <> D", "D <> loss"])


def _conditioned(model, boxes, ways):
    """With the class, which both networks of a conditional GAN read."""
    if hasattr(model, "n_classes"):
        boxes["y"] = ("data", f"class y\n1 of {model.n_classes}", 2, 2)
        ways += ["y > G", "y > D"]
    return boxes, ways


def _gan():
    return {
        "discriminator": lambda m: _critic_step(m, "discriminator", "real: 1\ngenerated: 0\ncross-entropy"),
        "generator": lambda m: _generator_step(m, "discriminator", "generated: 1\ncross-entropy"),
    }


def _conditional_gan():
    """The same game with either loss; what is to be called fake besides, real pictures with a wrong class, stands in the loss."""

    def judged(m):
        real, fake, name = ("1", "0", "cross-entropy") if m.loss == "log" else ("> 1", "< −1", "hinge")
        return f"{name}\nreal: {real}\ngenerated: {fake}" + f"\nreal, wrong class: {fake}" * m.mismatched

    wanted = {"log": "generated: 1\ncross-entropy", "hinge": "−score"}
    return {
        "discriminator": lambda m: _critic_step(m, "discriminator", judged(m)),
        "generator": lambda m: _generator_step(m, "discriminator", wanted[m.loss]),
    }


def _wgan():
    def critic_loss(model):
        return {
            "clip": "score(generated)\n− score(real)\nthen clip the weights",
            "penalty": "score(generated)\n− score(real)\n+ λ (slope − 1)²",
            "spectral": "hinge\nreal: > 1\ngenerated: < −1",
        }[model.constraint]

    return {
        "critic": lambda m: _critic_step(m, "critic", critic_loss(m)),
        "generator": lambda m: _generator_step(m, "critic", "−score"),
    }


def _classifier():
    def step(model):
        boxes = {
            "x": ("data", f"pictures x\n{_size(model)}", 0, 0),
            "f": _net("network", 1, 0, True),
            "logits": ("data", f"logits\n{model.n_classes}", 2, 0),
            "y": ("data", "classes y", 2, 1),
            "loss": ("loss", model.loss.__name__.replace("_", "-"), 3, 0),
        }
        return boxes, ["x > f", "f <> logits", "logits <> loss", "y > loss"]

    return {"classifier": step}


def _vae(name):
    def step(model):
        size = _shape(*model.latent_shape) if hasattr(model, "latent_shape") else model.latent_dim
        boxes = {
            "x": ("data", f"x\n{_size(model)}", 0, 1),
            "enc": _net("encoder", 1, 1, True),
            "q": ("data", f"μ, log σ²\n2×{size}", 2, 1),
            "eps": ("data", "noise ε", 3, 0),
            "z": ("data", f"z = μ + σ ε\n{size}", 3, 1),
            "dec": _net("decoder", 4, 1, True),
            "mean": ("data", f"rebuilt\n{_size(model)}", 5, 1),
            "kl": ("loss", "β KL(q ‖ p)", 2, 2),
            "error": ("loss", "squared error\nagainst x", 5, 2),
        }
        ways = ["x > enc", "enc <> q", "q <> z", "eps > z", "z <> dec", "dec <> mean", "q <> kl", "mean <> error"]
        if hasattr(model, "n_classes"):
            boxes |= {"y": ("data", "class y", 1, 0), "same": ("data", "class y", 4, 0)}
            ways += ["y > enc", "same > dec"]
        return boxes, ways

    return {name: step}


def _denoiser():
    def step(model):
        boxes = {
            "clean": ("data", "clean x", 0, 0),
            "noise": ("data", "noise", 0, 1),
            "noisy": ("data", "noisy y =\nx + noise", 1, 0),
            "f": _net("plain CNN" if model.layers else "U-Net", 2, 1, True),
            "said": ("data", "what is wrong,\nit says", 3, 1),
            "minus": ("data", "y − that", 3, 0),
            "loss": ("loss", "absolute error\nagainst x", 4, 0),
        }
        ways = ["clean > noisy", "noise > noisy", "noisy > f", "noisy > minus"]
        return boxes, [*ways, "f <> said", "said <> minus", "minus <> loss"]

    return {"denoiser": step}


def _super_resolver():
    def step(model):
        boxes = {
            "sharp": ("data", "sharp x", 0, 0),
            "small": ("data", f"x, shrunk\n{model.factor} times", 1, 0),
            "large": ("data", "enlarged,\nbicubic", 2, 0),
            "f": _net("U-Net", 2, 1, True),
            "detail": ("data", "the detail,\nit says", 3, 1),
            "sum": ("data", "enlarged\n+ detail", 3, 0),
            "loss": ("loss", "absolute error\nagainst x", 4, 0),
        }
        ways = [
            "sharp > small",
            "small > large",
            "large > f",
            "large > sum",
            "f <> detail",
            "detail <> sum",
            "sum <> loss",
        ]
        if model.features is not None:
            boxes["R"] = _net("random features", 4, 1, False)
            boxes["texture"] = ("loss", "distributed\nas those of x", 5, 1)
            ways += ["sum <> R", "R <> texture"]
        return boxes, ways

    return {"super_resolver": step}


def _pix2pix():
    def generator(model):
        boxes = {
            "a": ("data", "picture a", 0, 1),
            "G": _net("U-Net", 1, 1, True),
            "fake": ("data", "pair\na, G(a)", 2, 1),
            "l1": ("loss", f"{model.l1_weight:g} × distance (L1)\nof G(a) to b", 2, 2),
            "b": ("data", "its partner b", 1, 2),
        }
        ways = ["a > G", "G <> fake", "fake <> l1", "b > l1"]
        if model.discriminator:
            boxes |= {"D": _net("PatchGAN", 3, 1, False), "loss": ("loss", "each patch: 1\ncross-entropy", 4, 1)}
            ways += ["fake <> D", "D <> loss"]
        return boxes, ways

    def discriminator(model):
        boxes = {
            "a": ("data", "picture a", 0, 1),
            "G": _net("U-Net", 1, 1, False),
            "fake": ("data", "pair\na, G(a)", 2, 1),
            "real": ("data", "true pair\na, b", 2, 0),
            "D": _net("PatchGAN", 3, 1, True),
            "loss": ("loss", "true: 1, drawn: 0\nin each patch\ncross-entropy", 4, 1),
        }
        return boxes, ["a > G", "G > fake", "fake | D", "real > D", "D <> loss"]

    return {"generator": generator, "discriminator": discriminator}


def _cyclegan():
    def generators(model):
        boxes, ways = {}, []
        for row, (a, b) in ((0, "AB"), (3, "BA")):
            boxes |= {
                a: ("data", f"picture of {a}", 0, row + 1),
                f"to{b}": _net(f"to {b}", 1, row + 1, True),
                f"fake{b}": ("data", f"as {b}", 2, row + 1),
                f"back{a}": _net(f"to {a}", 3, row + 1, True),
                f"cycled{a}": ("data", f"{a} again", 4, row + 1),
                f"cycle{a}": ("loss", f"{model.cycle_weight:g} × distance\nto the picture", 5, row + 1),
                f"D{b}": _net(f"discriminator {b}", 3, row, False),
                f"loss{b}": ("loss", "each patch: 1\nsquared error", 4, row),
            }
            ways += [f"{a} > to{b}", f"to{b} <> fake{b}", f"fake{b} <> back{a}", f"back{a} <> cycled{a}"]
            ways += [f"cycled{a} <> cycle{a}", f"fake{b} <> D{b}", f"D{b} <> loss{b}"]
            if model.identity_weight:
                words = f"{model.identity_weight:g} × distance\nof to {b}({b.lower()}) to {b.lower()}"
                boxes[f"same{b}"] = ("loss", words, 1, row)
                ways.append(f"to{b} <> same{b}")
        return boxes, ways

    def discriminators(model):
        boxes, ways = {}, []
        for row, (a, b) in ((0, "AB"), (2, "BA")):
            boxes |= {
                a: ("data", f"picture of {a}", 0, row + 1),
                f"to{b}": _net(f"to {b}", 1, row + 1, False),
                f"fake{b}": ("data", f"as {b}, now\nand earlier", 2, row + 1),
                f"real{b}": ("data", f"picture of {b}", 2, row),
                f"D{b}": _net(f"discriminator {b}", 3, row + 1, True),
                f"loss{b}": ("loss", "real: 1, drawn: 0\nsquared error", 4, row + 1),
            }
            ways += [f"{a} > to{b}", f"to{b} > fake{b}", f"fake{b} | D{b}", f"real{b} > D{b}", f"D{b} <> loss{b}"]
        return boxes, ways

    return {"generators": generators, "discriminators": discriminators}


def _inpainter():
    def common(learns):
        boxes = {
            "x": ("data", "picture x", 0, 0),
            "mask": ("data", "mask", 0, 1),
            "G": _net("network", 1, 1, learns),
            "answer": ("data", "a whole\npicture", 2, 1),
            "known": ("data", "picture x", 3, 0),
            "filled": ("data", "known pixels of x,\nthe hole from it", 3, 1),
        }
        return boxes, ["x > G", "mask > G", "known > filled"]

    def generator(model):
        boxes, ways = common(True)
        boxes["l1"] = ("loss", "distance (L1)\nin the hole", 3, 2)
        ways += ["G <> answer", "answer <> filled", "filled <> l1"]
        if model.discriminator:
            boxes |= {"D": _net("PatchGAN", 4, 1, False), "loss": ("loss", "each patch: 1\ncross-entropy", 5, 1)}
            ways += ["filled <> D", "D <> loss"]
        return boxes, ways

    def discriminator(model):
        boxes, ways = common(False)
        boxes |= {"real": ("data", "picture x", 4, 0), "D": _net("PatchGAN", 4, 1, True)}
        boxes["loss"] = ("loss", "real: 1, filled: 0\ncross-entropy", 5, 1)
        return boxes, ways + ["G > answer", "answer > filled", "filled | D", "real > D", "D <> loss"]

    return {"generator": generator, "discriminator": discriminator}


def _flow():
    """The network is shown a point on the way from a picture to noise, and learns to say which way the noise lies."""

    def step(model):
        boxes = {
            "x": ("data", f"picture x\n{_size(model)}", 0, 0),
            "eps": ("data", "noise", 0, 1),
            "t": ("data", "time t\n0: x, 1: noise", 0, 2),
            "target": ("data", "velocity of the way\nnoise − x", 1, 0),
            "x_t": ("data", "x at time t\n(1 − t) x + t noise", 1, 1),
            "net": _net("network", 2, 1, True),
            "v": ("data", f"velocity, it says\n{_size(model)}", 3, 1),
            "loss": ("loss", "squared error", 3, 0),
        }
        ways = ["x > x_t", "eps > x_t", "t > x_t", "x_t > net", "t > net", "net <> v", "v <> loss", "target > loss"]
        ways += ["x > target", "eps > target"]
        if asked := _asked(model):
            boxes["y"] = ("data", f"{asked}\nor, at times, none", 2, 2)
            ways.append("y > net")
        return boxes, ways

    return {"net": step, "guided": _guided}


def _guided(model):
    """No training: one step of a guided sampler asks the network twice. Ho and Salimans 2022, algorithm 2; here for a velocity."""
    boxes = {
        "y": ("data", _asked(model), 0, 0),
        "x_t": ("data", f"x at time t\n{_shape(*model.flow_shape)}", 0, 1),
        "null": ("data", "no y", 0, 2),
        "told": _net("network", 1, 0, False),
        "untold": _net("the same network", 1, 2, False),
        "v_y": ("data", "velocity, told y\nv(x, t | y)", 2, 0),
        "v": ("data", "velocity, told nothing\nv(x, t)", 2, 2),
        "v_w": ("data", "guided velocity\nv + w (v(· | y) − v)", 3, 1),
        "next": ("data", "x at time t − h\nx − h · guided", 4, 1),
    }
    ways = ["y > told", "x_t > told", "x_t > untold", "null > untold", "told > v_y", "untold > v"]
    return boxes, [*ways, "v_y > v_w", "v > v_w", "v_w > next"]


def _latent_flow():
    """A flow's step, on what the frozen encoder makes of a picture."""

    def step(model):
        size = _shape(*model.flow_shape)
        boxes = {
            "picture": ("data", f"picture\n{_size(model)}", 0, 0),
            "enc": _net("encoder", 1, 0, False),
            "x": ("data", f"latent x = scale · μ\n{size}", 2, 0),
            "eps": ("data", "noise", 0, 1),
            "t": ("data", "time t\n0: x, 1: noise", 0, 2),
            "x_t": ("data", "x at time t\n(1 − t) x + t noise", 2, 1),
            "target": ("data", "velocity of the way\nnoise − x", 3, 0),
            "net": _net("network", 3, 1, True),
            "v": ("data", f"velocity, it says\n{size}", 4, 1),
            "loss": ("loss", "squared error", 4, 0),
        }
        ways = ["picture > enc", "enc > x", "x > x_t", "eps > x_t", "t > net", "x_t > net", "net <> v", "v <> loss"]
        ways += ["x > target", "eps > target", "target > loss", "t > x_t"]
        if asked := _asked(model):
            boxes["y"] = ("data", f"{asked}\nor, at times, none", 3, 2)
            ways.append("y > net")
        return boxes, ways

    return {"net": step, "guided": _guided}


def _vq():
    """The gradient of the reconstruction goes straight through the codebook, which has a term of its own."""

    def step(model):
        size = f"{_shape(*model.grid)} vectors\nof {model.codebook.shape[1]} numbers"
        boxes = {
            "x": ("data", f"picture x\n{_size(model)}", 0, 0),
            "enc": _net("encoder", 1, 0, True),
            "z": ("data", f"z: {size}", 2, 0),
            "z_q": ("data", "nearest entries,\nstraight-through", 3, 0),
            "dec": _net("decoder", 4, 0, True),
            "made": ("data", f"rebuilt\n{_size(model)}", 5, 0),
            "error": ("loss", "squared error\nagainst x", 5, 1),
            "book": _net(f"codebook\n{model.entries} entries", 3, 2, True),
            "terms": ("loss", "(sg z − e)² +\nβ (z − sg e)²", 2, 1),
        }
        ways = ["x > enc", "enc <> z", "z <> z_q", "book | z_q", "z_q <> dec", "dec <> made", "made <> error"]
        return boxes, ways + ["z <> terms", "book <> terms"]

    return {"vq": step}


def _diffusion():
    """The network is shown a picture with some noise, and learns to say what it was made of."""
    answers = {"v": "v = a noise − s x", "noise": "the noise", "clean": "the picture x"}

    def step(model):
        boxes = {
            "x": ("data", f"picture x\n{_size(model)}", 0, 0),
            "eps": ("data", "noise", 0, 1),
            "t": ("data", "time t\n0: x, 1: noise", 0, 2),
            "target": ("data", f"what it should say\n{answers[model.says]}", 1, 0),
            "x_t": ("data", "x at time t\na x + s noise", 1, 1),
            "net": _net("network", 2, 1, True),
            "says": ("data", f"what it says\n{_size(model)}", 3, 1),
            "loss": ("loss", "squared error", 3, 0),
        }
        ways = ["x > x_t", "eps > x_t", "t > x_t", "x_t > net", "t > net", "net <> says", "says <> loss"]
        ways += (
            ["target > loss"] + ["x > target"] * (model.says != "noise") + ["eps > target"] * (model.says != "clean")
        )
        return boxes, ways

    return {"net": step}


def plan_of(model):
    """A whole network as boxes on a lattice, for the models whose conditions would reach every box: (title, boxes, ways), or None."""
    return _PLANS[type(model).__name__](model) if _of_the_course(model) and type(model).__name__ in _PLANS else None


def _flow_plan(model):
    """A U-Net, the smaller the picture the lower; time and condition reach every block by FiLM."""
    channels, height, width = getattr(model, "flow_shape", model.image_shape)
    widths = [model.net.stem.out_channels * m for m in model.multipliers]
    depth, half = len(widths), lambda side, times: -(-side // model.patch // 2**times)
    size = lambda i: _shape(widths[i], half(height, i), half(width, i))
    latent, ends = hasattr(model, "autoencoder"), _shape(channels, height, width)
    boxes = {"x": ("data", f"{'latent' if latent else 'picture'}\n{ends}", 0, 0)}
    for i in range(depth):
        boxes[f"down{i}"] = ("conv", f"block\n{size(i)}", 1 + i, i)
        boxes[f"up{i}"] = ("conv", f"block\n{size(i)}", 2 * depth - i + 1, i)
    boxes["middle"] = ("conv", f"block\n{size(depth - 1)}", depth + 1, depth)
    answer = {"noise": "noise", "clean": "picture", "v": "v"}[model.says] if hasattr(model, "says") else "velocity"
    boxes["v"] = ("data", f"{answer}\n{ends}", 2 * depth + 2, 0)
    boxes["t"] = ("data", "time t", 0, depth)
    boxes["film"] = ("linear", "scale, shift\nin all blocks", 1, depth)
    ways = ["x > down0", "up0 > v", "t > film", "film > middle", f"down{depth - 1} > middle", f"middle > up{depth - 1}"]
    ways += [f"down{i} > up{i}" for i in range(depth)]
    ways += [f"down{i} > down{i + 1}" for i in range(depth - 1)] + [f"up{i + 1} > up{i}" for i in range(depth - 1)]
    if asked := _asked(model):
        boxes["y"] = ("data", asked, 0, depth + 1)
        boxes["e"] = ("linear", "encoder" if hasattr(model, "vocabulary") else "embedding", 1, depth + 1)
        ways += ["y > e", "e > film"]
    return f"network: {sum(p.numel() for p in model.net.parameters()):,} parameters", boxes, ways


def _asked(model):
    """What a flow is told, in words, or None."""
    if hasattr(model, "vocabulary"):
        return f"caption y\n{model.length} words"
    return f"class y\n1 of {model.n_classes}" if getattr(model, "n_classes", 0) else None


def _autoregressive(name, words, reads):
    """Teacher forcing: what comes in is the true picture, moved or masked; what comes out is compared with that picture."""

    def step(model):
        h, w = model.shape
        boxes = {
            "x": ("data", f"tokens x\n{h}×{w}, {model.levels} levels", 0, 0),
            "before": ("data", reads, 1, 0),
            "net": _net(words, 2, 0, True),
            "logits": ("data", f"logits\n{h * w}×{model.levels}", 3, 0),
            "same": ("data", "tokens x", 3, 1),
            "loss": ("loss", "cross-entropy\nof each pixel", 4, 0),
        }
        return boxes, ["x > before", "before > net", "net <> logits", "logits <> loss", "same > loss"]

    return {name: step}


def _fast_style():
    def step(model):
        boxes = {
            "x": ("data", "picture, in the\nstyle's colours", 0, 0),
            "f": _net("U-Net", 1, 0, True),
            "painted": ("data", "painted", 2, 0),
            "style": ("data", "style picture", 2, 1),
            "R": _net("random features", 3, 0, False),
            "loss": ("loss", "distributions as the style's,\nbuilt as the picture", 4, 0),
        }
        return boxes, ["x > f", "f <> painted", "painted <> R", "style > R", "R <> loss"]

    return {"network": step}


_STEPS = {
    "PixelGRU": lambda: _autoregressive("gru", "GRU and head", "the pixel before\nand the one above"),
    "PixelCNN": lambda: _autoregressive("cnn", "masked convolutions", "a plane for each\nlevel, and the place"),
    "Classifier": _classifier,
    "VAE": lambda: _vae("vae"),
    "CVAE": lambda: _vae("cvae"),
    "DCGAN": _gan,
    "CGAN": _conditional_gan,
    "ConditionalGAN": _conditional_gan,
    "WGAN": _wgan,
    "ProjectionGAN": _conditional_gan,
    "Pix2Pix": _pix2pix,
    "CycleGAN": _cyclegan,
    "Inpainter": _inpainter,
    "Denoiser": _denoiser,
    "SuperResolver": _super_resolver,
    "Diffusion": _diffusion,
    "Flow": _flow,
    "LatentFlow": _latent_flow,
    "Autoencoder": lambda: _vae("autoencoder"),
    "VQ": _vq,
    "TextToImage": _flow,
    "FastStyle": _fast_style,
}


def _square(channels, side=32):
    return (channels, side, side)


def _conditional_shapes(m):
    c, h, w = m.image_shape
    return (m.latent_dim + m.n_classes, 1, 1), (c + m.n_classes, h, w)


def _networks_told_the_class(m):
    """Concatenation joins the class to what comes in: one input. Conditional batch norm and projection read it further on."""
    networks = []
    for name, network, joined, apart, word in (
        ("generator", m.generator, _conditional_shapes(m)[0], (m.latent_dim,), "noise z"),
        ("discriminator", m.discriminator, _conditional_shapes(m)[1], m.image_shape, "picture"),
    ):
        if isinstance(network, nn.Sequential):
            networks.append((name, nn.Sequential(*network), [joined], [f"{word}, class y"]))
        else:
            networks.append((name, network, [apart, ()], [word, "class y"]))
    return networks


_NETWORKS = {
    "PixelCNN": lambda m: [("network", m.network, [(m.levels + 2, *m.shape)], ["a plane a level, and the place"])],
    "Classifier": lambda m: [("classifier", m, [m.image_shape], ["picture"])],
    "VAE": lambda m: [
        ("encoder", m.encoder, [m.image_shape], ["picture x"]),
        ("decoder", m.decoder, [(m.latent_dim,)], ["z"]),
    ],
    "Autoencoder": lambda m: [
        ("encoder", m.encoder, [m.image_shape], ["picture x"]),
        ("decoder", m.decoder, [m.latent_shape], ["z"]),
    ],
    "VQ": lambda m: [
        ("encoder", m.encoder, [m.image_shape], ["picture x"]),
        ("decoder", m.decoder, [(m.codebook.shape[1], *m.grid)], ["entries"]),
    ],
    "CVAE": lambda m: [
        ("encoder", m.encoder, [_conditional_shapes(m)[1]], ["picture x, class y"]),
        ("decoder", m.decoder, [(m.latent_dim + m.n_classes,)], ["z, class y"]),
    ],
    "DCGAN": lambda m: [
        ("generator", m.generator, [(m.latent_dim, 1, 1)], ["noise z"]),
        ("discriminator", m.discriminator, [m.image_shape], ["picture"]),
    ],
    "WGAN": lambda m: [
        ("generator", m.generator, [(m.latent_dim, 1, 1)], ["noise z"]),
        ("critic", m.critic, [m.image_shape], ["picture"]),
    ],
    "CGAN": _networks_told_the_class,
    "ConditionalGAN": _networks_told_the_class,
    "ProjectionGAN": _networks_told_the_class,
    "Pix2Pix": lambda m: [
        ("generator", m.generator, [_square(m.in_channels)], ["picture a"]),
        *(
            [("discriminator", m.discriminator, [_square(m.in_channels + m.out_channels)], ["pair a, b"])]
            if m.discriminator
            else []
        ),
    ],
    "CycleGAN": lambda m: [
        ("to_b (to_a is alike)", m.to_b, [_square(m.channels)], ["picture of A"]),
        ("discriminator_b (and _a)", m.discriminator_b, [_square(m.channels)], ["picture of B"]),
    ],
    "Inpainter": lambda m: [
        ("generator", m.generator, [_square(m.channels), _square(1)], ["picture", "mask"]),
        *(
            [("discriminator", m.discriminator, [_square(m.channels + 1)], ["picture, mask"])]
            if m.discriminator
            else []
        ),
    ],
    "FastStyle": lambda m: [("network", m.network, [_square(m.style.shape[1])], ["picture"])],
    "Denoiser": lambda m: [("denoiser", m, [_square(m.channels)], ["noisy picture"])],
    "SuperResolver": lambda m: [("super_resolver", m, [_square(m.channels, 16)], ["small picture"])],
}

_PLANS = {"Diffusion": _flow_plan, "Flow": _flow_plan, "LatentFlow": _flow_plan, "TextToImage": _flow_plan}
