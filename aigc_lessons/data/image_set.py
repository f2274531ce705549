"""ImageSet: pictures in memory with their labels, and the checks that every door of the course uses."""

import warnings
from dataclasses import dataclass, field, replace

import torch


def check_images(images, who):
    """Raise unless `images` is float (N, C, H, W), finite and in [-1, 1]. Returns `images`.

    Args:
        who: what was called, for the message: "grid", "fit" ...
    Raises:
        TypeError: not a floating tensor. ValueError: wrong number of dimensions, NaN, infinity, out of range.
    """
    if not isinstance(images, torch.Tensor):
        raise TypeError(
            f"{who} got {type(images).__name__}, not a tensor. Give images as a float32 tensor (N, C, H, W) in [-1, 1]."
        )
    if not images.is_floating_point():
        hint = " For bytes in 0..255: images.float() / 127.5 - 1." if images.dtype == torch.uint8 else ""
        raise TypeError(f"{who} got images of type {images.dtype}. Accepted: float32 in [-1, 1].{hint}")
    if images.ndim != 4:
        hint = " For a single picture: image[None]." if images.ndim == 3 else ""
        raise ValueError(f"{who} got images of shape {tuple(images.shape)}. Accepted: (N, C, H, W).{hint}")
    if images.numel():
        low, high = (v.item() for v in images.detach().aminmax())
        if not low - low == 0 or not high - high == 0:  # NaN or infinite
            bad = (~images.isfinite()).flatten(1).any(1).nonzero()[:, 0].tolist()
            raise ValueError(
                f"{who} got NaN or infinity in {len(bad)} of {len(images)} images, the first at index {bad[0]}. "
                "Accepted: finite values in [-1, 1]. Look at where they were made."
            )
        if low < -1.0001 or high > 1.0001:  # a little room for rounding and resampling
            raise ValueError(
                f"{who} got images from {low:.4g} to {high:.4g}. Accepted: [-1, 1]. "
                "For images in [0, 1]: 2 * images - 1. For a generator: end it with tanh."
            )
    return images


def warn_if_half_range(images, who, stacklevel=3):
    """Warn where no pixel is below 0: such pictures are most likely in [0, 1], not [-1, 1]. Flat ones alone may be, and pass.

    Args:
        images: (N, C, H, W). who: as in `check_images`. stacklevel: of warnings.warn; 3: whoever called the door.
    """
    if images.numel() == 0 or images.detach().amin() < 0:
        return
    low, high = images.detach().flatten(1).aminmax(dim=1)
    if (high > low).any() and high.amax() <= 1.0001:
        warnings.warn(
            f"{who} got images from {low.amin():.4g} to {high.amax():.4g}, with nothing below 0: they look like pictures in [0, 1], "
            "and the course's are in [-1, 1], where 0 is a middle grey. For images in [0, 1]: 2 * images - 1.",
            stacklevel=stacklevel,
        )


@dataclass(frozen=True)
class ImageSet:
    """Pictures in memory.

    Attributes:
        images: (N, C, H, W) float32 in [-1, 1].
        labels: (N,) int64, or None.
        captions: tuple of N strings, or None.
        classes: tuple of class names; labels index it. Empty without labels.
        name, licence: str.
        groups: (N,) int64 or None; images of one group (patches of one photo) never come on both sides of a split.
        attributes: {name: (N,) tensor}, what the pictures were drawn from, where that is known.
    Raises:
        ValueError or TypeError when the parts do not fit together.
    """

    images: torch.Tensor
    labels: torch.Tensor | None = None
    captions: tuple | None = None
    classes: tuple = ()
    name: str = ""
    licence: str = ""
    groups: torch.Tensor | None = None
    attributes: dict = field(default_factory=dict)

    def __post_init__(self):
        check_images(self.images, f"ImageSet({self.name!r})")
        n = len(self.images)
        parts = {"labels": self.labels, "captions": self.captions, "groups": self.groups, **self.attributes}
        for part, values in parts.items():
            if values is not None and len(values) != n:
                raise ValueError(
                    f"ImageSet({self.name!r}) got {n} images and {len(values)} {part}. Give one for each image."
                )
        if self.labels is not None:
            if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
                raise TypeError(
                    f"ImageSet({self.name!r}) got labels of type {self.labels.dtype} and shape {tuple(self.labels.shape)}. "
                    "Accepted: int64 of shape (N,), each the index of a class."
                )
            if n and not (0 <= self.labels.min() and self.labels.max() < len(self.classes)):
                raise ValueError(
                    f"ImageSet({self.name!r}) got labels from {self.labels.min()} to {self.labels.max()} "
                    f"for {len(self.classes)} classes. Accepted: 0 to {len(self.classes) - 1}."
                )

    def __len__(self):
        return len(self.images)

    def __repr__(self):
        c, h, w = self.images.shape[1:]
        kinds = f", {len(self.classes)} classes" if self.classes else ""
        return f"ImageSet({self.name!r}: {len(self)} images, {c}x{h}x{w}{kinds})"

    def __getitem__(self, index):
        """A smaller ImageSet: a slice, a list of indices or a boolean mask. For one picture: ds.images[i]."""
        if isinstance(index, int):
            raise TypeError(
                f"An ImageSet is cut by a slice, a list or a mask; for one picture write ds.images[{index}], or ds[{index}:{index + 1}]."
            )
        picked = torch.arange(len(self))[index]
        pick = lambda values: None if values is None else values[picked]
        return replace(
            self,
            images=self.images[picked],
            labels=pick(self.labels),
            groups=pick(self.groups),
            captions=None if self.captions is None else tuple(self.captions[i] for i in picked.tolist()),
            attributes={k: v[picked] for k, v in self.attributes.items()},
        )

    def split(self, test=0.2, seed=0):
        """Two sets, (train, test), that share no image and, with groups, no group. Shuffled; each class in proportion.

        Args:
            test: the fraction, in (0, 1), that goes to the second set (of groups, where there are any).
            seed: which of the possible splits.
        Raises:
            ValueError: a side would be empty.
        """
        if not 0 < test < 1:
            raise ValueError(f"split(test={test}): give a fraction between 0 and 1, such as 0.2.")
        generator = torch.Generator().manual_seed(seed)
        units = torch.arange(len(self)) if self.groups is None else self.groups.unique()
        strata = (
            [units]
            if self.labels is None or self.groups is not None
            else [(self.labels == k).nonzero()[:, 0] for k in self.labels.unique()]
        )
        taken = [s[torch.randperm(len(s), generator=generator)[: round(test * len(s))]] for s in strata]
        taken = torch.cat(taken) if taken else units
        held_out = torch.isin(torch.arange(len(self)) if self.groups is None else self.groups, taken)
        if held_out.all() or not held_out.any():
            raise ValueError(
                f"split(test={test}) of {len(self)} images in {len(units)} separable parts leaves one side empty. "
                "Give more images or another fraction."
            )
        return self[(~held_out).nonzero()[:, 0]], self[held_out.nonzero()[:, 0]]
