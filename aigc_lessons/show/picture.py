"""A picture with alternative text, which JupyterLab, GitHub and nbconvert show alike."""

import base64
import html
import io
import os
from copy import copy
from pathlib import Path

from PIL import Image

from .texts import as_html, check_alt

STYLE = ' style="font-size:0.9em"'
EXACT_BYTES = 32_000  # a coloured PNG larger than this is reduced to 256 colours
MOST_BYTES = 40_000  # and whatever is still larger than this, to fewer, down to 32


class Picture:
    """A PNG with the words that stand for it where it cannot be seen.

    Attributes:
        png: the file's bytes. Small files are exact; larger ones have 256 colours, or as many as 40 kB hold.
        alt: the alternative text. caption: what to conclude, or "".
        size: (width, height) in CSS pixels, as it is shown.
    """

    def __init__(self, pixels, alt, zoom=1, caption=""):
        """
        Args:
            pixels: uint8 array, (H, W) for grey or (H, W, 3) for colour.
            alt: one sentence that says what is to be seen.
            zoom: CSS pixels for each pixel, above 0. Enlarged pixels stay square and sharp.
            caption: what to conclude. Without one the alternative text is shown below.
        Raises:
            ValueError: no alternative text.
        """
        self.alt, self.caption = check_alt(alt, "Picture"), caption
        image = Image.fromarray(pixels)
        self.size = (max(1, round(image.width * zoom)), max(1, round(image.height * zoom)))
        self._style = "max-width:100%;height:auto" + (";image-rendering:pixelated" if zoom > 1 else "")
        self.png = _encode(image)
        if image.mode == "RGB" and len(self.png) > EXACT_BYTES or len(self.png) > MOST_BYTES:
            self.png = _reduced(image)

    @property
    def html(self):
        """A <figure>."""
        data = base64.b64encode(self.png).decode()
        return figure(f"data:image/png;base64,{data}", self.size, self.alt, self.caption, self._style)

    def described(self, alt, caption=""):
        """The same picture with other words."""
        other = copy(self)
        other.alt, other.caption = check_alt(alt, "Picture"), caption
        return other

    def at_least(self, width):
        """The same picture, never shown narrower than `width` CSS pixels: on a narrow page it scrolls instead of shrinking."""
        other = copy(self)
        other._style = self._style.replace("max-width:100%", f"max-width:100%;min-width:{width}px")
        return other

    def save(self, path):
        """Write the PNG. What stood at `path` before is replaced only once the new file is complete."""
        path = Path(path)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(self.png)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def __repr__(self):
        return f"Picture: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self.html}


def _reduced(image):
    """A PNG with at most 256 colours; with fewer, but never below 32, where MOST_BYTES ask for it."""
    for colours in (256, 128, 64, 32):
        if image.mode == "L":
            step = 256 // colours
            fewer = image.point([min(255, round(value / step) * step) for value in range(256)])
        else:
            fewer = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            if colours < 256:
                # Rare colours count as much as common ones, or a small green square turns white. It is slow on more than 256 colours.
                fewer = fewer.convert("RGB").quantize(
                    colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
                )
            # Averaging makes the paper 254: keep it white.
            fewer.putpalette([255 if value >= 253 else value for value in fewer.getpalette()])
        png = _encode(fewer)
        if len(png) <= MOST_BYTES:
            break
    return png


def figure(source, size, alt, caption, style):
    """An image with its caption. Where there is none, the alternative text is shown: for eyes only, since a screen reader
    speaks it with the image."""
    text = html.escape(alt, quote=True)
    below = f"<figcaption{STYLE}>{as_html(caption)}" if caption else f'<figcaption aria-hidden="true"{STYLE}>{text}'
    return (
        f'<figure style="margin:0;overflow-x:auto"><img alt="{text}" width="{size[0]}" height="{size[1]}" '
        f'style="{style}" src="{source}">{below}</figcaption></figure>'
    )


def alert(text):
    """An error as HTML, for a widget: its callbacks have no cell to raise in."""
    return f'<pre role="alert" style="color:#B00020;white-space:pre-wrap">{html.escape(text)}</pre>'


def _encode(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
