"""Does a picture of a shape show what its caption says? Kind and colour are read by the judge, the place by where the paint lies."""

import torch

from ..data import check_images
from ..data.shapes import COLOURS, GROUND, place, read_caption
from .intervals import wilson_interval
from .judge import Judge


def shown(images):
    """What each picture shows: (N, 3) int64, indices of KINDS, COLOURS and PLACES of data.shapes.

    The place is that of the centre of all that differs from the ground by more than 0.3, weighted by how much it differs.

    Args: images: (N, 3, H, W) in [-1, 1]. Raises as check_images does.
    """
    images = check_images(images, "shown").cpu()
    judge = Judge("shapes").cpu()
    with torch.no_grad():
        read = torch.cat([judge(part)[1].argmax(1) for part in images.split(250)])
    ground = 2 * torch.tensor(GROUND["plain"])[:, None, None] - 1
    paint = (images - ground).abs().amax(1)  # (N, H, W)
    paint = torch.where(paint > 0.3, paint, 0)
    total = paint.sum((1, 2)).clamp(min=1e-6)
    axis = lambda size: (2 * torch.arange(size) + 1) / size - 1
    x = (paint.sum(1) @ axis(images.shape[3])) / total
    y = (paint.sum(2) @ axis(images.shape[2])) / total
    return torch.stack([read // len(COLOURS), read % len(COLOURS), place(x, y)], 1)


def caption_accuracy(images, captions):
    """The shares of pictures that show the kind, the colour, the place and all three that their captions name.

    Args: images: (N, 3, H, W) in [-1, 1]. captions: N texts such as 'a red disc, upper left'.
    Returns: {"kind", "colour", "place", "all": Measure}, with Wilson's 95 % interval.
    Raises ValueError: another number of captions than pictures, none at all, or a text that is no such caption.
    """
    if len(images) != len(captions) or not len(images):
        raise ValueError(
            f"caption_accuracy got {len(images)} images and {len(captions)} captions. Give one for each, at least one."
        )
    named = {text: read_caption(text) for text in set(captions)}
    right = shown(images) == torch.tensor([named[text] for text in captions])
    columns = {"kind": right[:, 0], "colour": right[:, 1], "place": right[:, 2], "all": right.all(1)}
    return {name: wilson_interval(int(column.sum()), len(images)) for name, column in columns.items()}
