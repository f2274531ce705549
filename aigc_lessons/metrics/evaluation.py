"""evaluate: what torch-fidelity says of generated pictures beside real ones, with intervals."""

import hashlib
import warnings
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch

from ..data import check_images, warn_if_half_range
from ..data.pixels import is_grey, to_bytes, to_grey
from ..settings import device, has_cuda
from .checks import check_finite
from .frechet import frechet_interval
from .inception import inception_score
from .intervals import Measure, bootstrap_interval, wilson_interval
from .judge import Judge, coarse_pixels, judges
from .kernel import kernel_interval, subsets
from .modes import effective_modes, mode_counts
from .neighbours import neighbour_measures

NEIGHBOUR = 3  # precision and recall look at the third neighbour, as their authors do
DENSE_NEIGHBOUR = 5  # density and coverage at the fifth, as theirs do
FEWEST = DENSE_NEIGHBOUR + 1
AMONG = 5_000  # pictures of each set among which neighbours are looked for
INCEPTION_SHA256 = "6726825d"  # how the hash of the published weights begins, as their file name says
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True)
class Report:
    """How good generated pictures are, each measure with its 95 % interval. More is better, but for fid and kid.

    Attributes:
        features: whose features were compared: a judge's data set, 'inception', or 'pixels'.
        size: (H, W), the pictures' own pixels. resized: how they were brought to another size before they were looked at, or None.
            Detail finer than both is compared by no measure.
        fid: Fréchet distance of the features. kid: their kernel distance, over subsets of at most 1,000 (a judge's features divided
            by their root mean square on the data's test pictures). inception_score: of the logits.
        precision, recall: shares, by the third neighbour. density, coverage: a number and a share, by the fifth.
        modes: effective number of classes that the judge is sure of; accuracy: share that the judge reads as the labels given to
            evaluate. None where it was not asked, or where there are no classes to tell.
        made_alike: what was done to the channels of one set, so that they could be compared, or None.
    """

    features: str
    size: tuple
    resized: str | None
    fid: Measure
    kid: Measure
    precision: Measure
    recall: Measure
    density: Measure
    coverage: Measure
    inception_score: Measure | None = None
    modes: Measure | None = None
    accuracy: Measure | None = None
    made_alike: str | None = None

    @property
    def measures(self):
        """{name: Measure} of those that there are."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), Measure)}

    @property
    def note(self):
        """At which size and through which features it was compared, and with what it may be."""
        compared = f"Compared at {self.size[0]}x{self.size[1]} pixels, {f'{self.resized}, ' if self.resized else ''}"
        if self.made_alike:
            compared += f"{self.made_alike}, "
        if self.features == "inception":
            return compared + (
                "by features of InceptionV3: comparable with published values if number of pictures, data, size and "
                "resizing are theirs."
            )
        whose = (
            "pixels averaged over 8x8 blocks"
            if self.features == "pixels"
            else f"features of the course's judge for {self.features}"
        )
        return (
            compared
            + f"by {whose}: compare with the same features, size and number of pictures only, not with published values."
        )

    def __str__(self):
        rows = [
            f"{name.replace('_', ' '):<17}{m.value:>9.4f}   {m.low:.4f} to {m.high:.4f}"
            for name, m in self.measures.items()
        ]
        return "\n".join([f"{'measure':<17}{'value':>9}   95 % interval   (n = {self.fid.n})", *rows, self.note])

    __repr__ = __str__


def _inception(path):
    """torch-fidelity's InceptionV3 with weights from a file, whose hash was checked: uint8 (N, 3, H, W) -> features, logits."""
    published = f"Accepted: the published file {INCEPTION_FILE}, which torch-fidelity's releases hold. The course never downloads it."
    if path is None:
        raise ValueError(f"features='inception' needs weights=PATH. {published}")
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"weights={str(path)!r}: there is no such file. {published}")
    with path.open("rb") as file:
        found = (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(file.read()).hexdigest()
        )
    if not found.startswith(INCEPTION_SHA256):
        raise ValueError(
            f"weights={str(path)!r} is another file, or damaged: its sha256 begins with {found[:8]}, not {INCEPTION_SHA256}. {published}"
        )
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )


def _eyes(features, weights, channels):
    """What evaluate looks through: (function uint8 -> features, logits; scale for KID; number of classes or None; (H, W) that it
    resizes to and how, or None)."""
    if channels not in (1, 3):
        raise ValueError(f"evaluate got images with {channels} channels. Accepted: 1 (grey) or 3 (colour).")
    if features == "inception":
        return _inception(weights).to(device()), 1.0, None, ((299, 299), "bilinear as in TensorFlow 1")
    if features == "pixels":

        def blocks(pixels):
            means = coarse_pixels(pixels.float() / 127.5 - 1)
            return means, means.new_zeros(len(means), 1)

        return blocks, 1.0, None, None
    if features not in judges():
        raise ValueError(
            f"evaluate(features={features!r}): accepted are {', '.join(map(repr, judges()))} (the course's judges), 'inception' "
            "with weights=PATH, and 'pixels'."
        )
    judge = Judge(features).to(device())
    if channels != judge.image_shape[0]:
        raise ValueError(
            f"The judge for {features} looks at pictures with {judge.image_shape[0]} channels and got {channels}. "
            f"Choose another: {', '.join(map(repr, judges()))}, 'inception' or 'pixels'."
        )
    return judge.read_bytes, judge.scale, judge.n_classes, (judge.image_shape[1:], "bicubic")


def _alike(generated, real, features):
    """Both sets with the same channels, and what was done for it, or None. Grey written three times, as `save_image` does, is grey."""
    grey_judge = features in judges() and Judge(features).image_shape[0] == 1
    channels = generated.shape[1], real.shape[1]
    if channels == (3, 3) and grey_judge and is_grey(generated) and is_grey(real):
        return to_grey(generated), to_grey(real), "all pictures, grey in three channels, made one channel"
    if channels == (3, 1) and is_grey(generated):
        return to_grey(generated), real, "generated pictures, grey in three channels, made one channel"
    if channels == (3, 1):
        return generated, real.expand(-1, 3, -1, -1), "real pictures, grey, repeated to three channels"
    if channels == (1, 3):
        return (
            generated,
            to_grey(real),
            f"real pictures {'of three equal channels' if is_grey(real) else 'in colour'} made grey",
        )
    return generated, real, None


def fidelity(network, generated, real, scale=1.0):
    """What torch-fidelity calculates from `network`'s features, and those features.

    Args:
        network: function uint8 (N, C, H, W) -> features (N, D), logits (N, K). generated, real: uint8 (N, C, H, W), at least 2 each.
        scale: what features are divided by for KID, whose cubic kernel adds 1 to them and so depends on their size.
    Returns:
        {torch-fidelity's name: float}, then (features, logits) of the generated and of the real pictures.
    """
    import torch_fidelity
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    from tqdm.auto import tqdm

    seen = []

    class Extractor(torch_fidelity.FeatureExtractorBase):
        """Keeps what passes through it. It answers in the order of features_list, which torch-fidelity makes from a set."""

        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return "features", "scaled", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return {"isc": "logits", "kid": "scaled"}.get(metric, "features")

        @staticmethod
        def can_be_compiled():
            return False

        @staticmethod
        def get_dummy_input_for_compile():
            return generated[:1]

        def forward(self, pixels):
            features, logits = (t.float().cpu() for t in network(pixels.to(device())))  # it moves them for CUDA alone
            before = sum(len(features) for features, _ in seen)
            whose, start = ("generated", before) if before < len(generated) else ("real", before - len(generated))
            check_finite(features, "evaluate", f"features of the {whose} pictures", start)
            seen.append((features, logits))
            bar.update(len(pixels))
            return tuple(
                {"features": features, "scaled": features / scale, "logits": logits}[name]
                for name in self.features_list
            )

    class Pictures(torch.utils.data.Dataset):
        """Items are tensors; torch-fidelity refuses the tuples of a TensorDataset."""

        def __init__(self, pixels):
            self.pixels = pixels

        def __len__(self):
            return len(self.pixels)

        def __getitem__(self, i):
            return self.pixels[i]

    count, size = subsets(len(generated), len(real))
    FEATURE_EXTRACTORS_REGISTRY.pop("aigc-lessons", None)  # a second registration of a name is refused
    torch_fidelity.register_feature_extractor("aigc-lessons", Extractor)
    # Its loader draws from torch's own random numbers, which are the caller's.
    with (
        torch.random.fork_rng(devices=[]),
        tqdm(total=len(generated) + len(real), desc="looking", unit="pictures", delay=2, leave=False) as bar,
    ):
        values = torch_fidelity.calculate_metrics(
            input1=Pictures(generated),
            input2=Pictures(real),
            feature_extractor="aigc-lessons",
            isc=True,
            fid=True,
            kid=True,
            isc_splits=1,
            kid_subsets=count,
            kid_subset_size=size,
            batch_size=50,
            cuda=has_cuda(),
            save_cpu_ram=True,
            verbose=False,  # its own choices: a GPU, workers, and many lines
            cache=False,
        )  # its key knows neither the pictures nor the weights
    features, logits = (torch.cat(parts) for parts in zip(*seen))
    n = len(generated)
    return values, (features[:n], logits[:n]), (features[n:], logits[n:])


def evaluate(generated, real, features="digits", weights=None, labels=None, repeats=None):
    """Compare generated pictures with real ones.

    Values of fid, kid and inception_score come from torch-fidelity; kid is the mean over subsets of at most 1,000 pictures. Precision and
    recall (third neighbour) and density and coverage (fifth) are ours, among at most 5,000 pictures of each set, chosen at random,
    so that memory stays bounded at any N. Intervals: bootstrap for fid, kid, inception_score and modes (how far they scatter; the bias of fid
    at this number of pictures stays in it), half-samples for precision, recall, density and coverage, Wilson for accuracy.

    Both sets must be of one size: the report says which, and to what each network resizes. Where one set is grey and the other is in
    colour they are made alike, with a warning: what is grey in three channels becomes grey; real pictures follow generated ones.

    Args:
        generated, real: (N, C, H, W) and (M, C, H, W) in [-1, 1], of one size, at least 8x8 pixels, at least 6 each. Both are rounded
            to 8 bits. If N and M differ, each of kid's subsets is as large as the smaller set at most.
        features: a data set that has a judge ('digits', 'shapes', 'textures'), 'inception', or 'pixels', the means of 8x8 blocks,
            where there is no judge. Grey pictures are repeated to three channels for Inception; each network resizes to its own size.
        weights: the file with Inception's published weights; nothing is downloaded.
        labels: (N,) int64, what the generated pictures should show, for accuracy by a judge.
        repeats: draws of each bootstrap. None: 200; 20 for Inception, whose 2,048 features make each draw take seconds, so that its
            intervals are rough.
    Returns:
        Report.
    Raises:
        ValueError, TypeError: pictures that cannot be compared, unknown features, another file of weights, labels that the judge
        does not know. FileNotFoundError: no file of weights.
    """
    for who, images in (("evaluate (generated)", generated), ("evaluate (real)", real)):
        check_images(images, who)
        if len(images) < FEWEST:
            raise ValueError(
                f"{who} got {len(images)} images. Accepted: at least {FEWEST} (coverage looks at the {DENSE_NEIGHBOUR}th neighbour; "
                "fid and kid need 2, the Inception Score 1). For numbers that say something give 1,000 or more."
            )
        warn_if_half_range(images, who)
    if any(x.shape[1] not in (1, 3) for x in (generated, real)):
        raise ValueError(
            f"evaluate got images with {generated.shape[1]} and {real.shape[1]} channels. Accepted: 1 (grey) or 3 (colour)."
        )
    if generated.shape[2:] != real.shape[2:]:
        raise ValueError(
            f"evaluate got generated images of {tuple(generated.shape[2:])} pixels and real ones of {tuple(real.shape[2:])}. "
            "Accepted: one size. Load the real ones at the generator's size: al.data.load(name, size=...)."
        )
    if min(real.shape[2:]) < 8:
        raise ValueError(
            f"evaluate got images of {tuple(real.shape[2:])} pixels. Accepted: height and width of at least 8."
        )
    generated, real, made_alike = _alike(generated, real, features)
    network, scale, n_classes, resizing = _eyes(features, weights, real.shape[1])
    if features == "inception":
        generated, real = (x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x for x in (generated, real))
    if repeats is not None and repeats < 1:
        raise ValueError(f"evaluate(repeats={repeats}): accepted is 1 or more, or None.")
    if labels is not None:
        labels = torch.as_tensor(labels)
        if n_classes is None:
            raise ValueError(
                f"evaluate(features={features!r}) knows no classes of yours. Give labels= with a judge's features only: {', '.join(judges())}."
            )
        if (
            labels.shape != (len(generated),)
            or labels.is_floating_point()
            or labels.min() < 0
            or labels.max() >= n_classes
        ):
            span = f" from {labels.min()} to {labels.max()}" if labels.numel() else ""
            raise ValueError(
                f"evaluate got labels of shape {tuple(labels.shape)} and {labels.dtype}{span} for {len(generated)} images. Accepted: a whole "
                f"number for each image, ({len(generated)},), a class that the judge for {features} knows: 0 to {n_classes - 1}."
            )
    if made_alike:
        warnings.warn(f"evaluate: {made_alike}, so that both sets can be compared.", stacklevel=2)
    pixels = (torch.cat([to_bytes(part) for part in x.split(1_000)]) for x in (generated, real))
    values, (fake, logits), (true, _) = fidelity(network, *pixels, scale)
    size = tuple(real.shape[2:])
    resized = (
        None
        if resizing is None or resizing[0] == size
        else f"resized to {resizing[0][0]}x{resizing[0][1]} ({resizing[1]})"
    )
    repeats = repeats or (20 if features == "inception" else 200)
    return Report(
        features,
        size,
        resized,
        made_alike=made_alike,
        **_measures(features, values, fake, true, logits, scale, n_classes, labels, repeats),
    )


def _measures(name, values, fake, true, logits, scale, n_classes, labels, repeats):
    """{name: Measure}: the values of torch-fidelity and ours, each with its interval."""
    interval = partial(bootstrap_interval, repeats=repeats)
    classes = logits.shape[1]
    g = torch.Generator().manual_seed(0)
    some = (x[torch.randperm(len(x), generator=g)[:AMONG]] if len(x) > AMONG else x for x in (true, fake))
    return {
        "fid": frechet_interval(fake, true, values["frechet_inception_distance"], repeats),
        "kid": kernel_interval(fake / scale, true / scale, values["kernel_inception_distance_mean"], repeats),
        **neighbour_measures(*some, NEIGHBOUR, DENSE_NEIGHBOUR, repeats),
        "inception_score": None
        if name == "pixels"
        else interval(
            inception_score, logits.double().softmax(1), value=values["inception_score_mean"], least=1.0, most=classes
        ),
        "modes": None
        if n_classes is None
        else interval(lambda z: effective_modes(mode_counts(z)), logits, least=0.0, most=classes),
        "accuracy": None
        if labels is None
        else wilson_interval((logits.argmax(1) == labels.cpu()).sum().item(), len(fake)),
    }
