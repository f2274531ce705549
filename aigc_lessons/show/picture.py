"""A picture with alternative text, which JupyterLab, GitHub and nbconvert show alike."""

import base64
import html
import io
import os
from copy import copy
from pathlib import Path

from PIL import Image

EXACT_BYTES = 32_000  # a coloured PNG larger than this is reduced to 256 colours


class Picture:
    """A PNG with the words that stand for it where it cannot be seen.

    Attributes:
        png: the file's bytes. Grey pictures and small coloured files are exact; larger ones have 256 colours.
        alt: the alternative text.
        size: (width, height) in CSS pixels, as it is shown.
    """

    def __init__(self, pixels, alt, zoom=1):
        """
        Args:
            pixels: uint8 array, (H, W) for grey or (H, W, 3) for colour.
            alt: one sentence that says what is to be seen.
            zoom: CSS pixels for each pixel, above 0. Enlarged pixels stay square and sharp.
        Raises:
            ValueError: no alternative text.
        """
        self.alt = check_alt(alt, "Picture")
        image = Image.fromarray(pixels)
        self.size = (max(1, round(image.width * zoom)), max(1, round(image.height * zoom)))
        self._style = "max-width:100%;height:auto" + (";image-rendering:pixelated" if zoom > 1 else "")
        if image.mode == "RGB" and len(_encode(image, compress_level=1)) > EXACT_BYTES:
            image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            # Averaging makes the paper 254: keep it white.
            image.putpalette([255 if value >= 253 else value for value in image.getpalette()])
        self.png = _encode(image)

    @property
    def html(self):
        """A <figure>. The caption is for eyes only: a screen reader speaks the same words with the image."""
        text = html.escape(self.alt, quote=True)
        data = base64.b64encode(self.png).decode()
        return (
            f'<figure style="margin:0"><img alt="{text}" width="{self.size[0]}" height="{self.size[1]}" '
            f'style="{self._style}" src="data:image/png;base64,{data}">'
            f'<figcaption aria-hidden="true" style="font-size:0.9em">{text}</figcaption></figure>'
        )

    def described(self, alt):
        """The same picture with another alternative text."""
        other = copy(self)
        other.alt = check_alt(alt, "Picture")
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


def check_alt(alt, who):
    """Raise ValueError unless `alt` is text. Returns it without surrounding blanks."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(
            f"{who} got alt={alt!r}. Every picture needs alternative text: whoever cannot see it "
            "reads or hears this instead. Say in one sentence what is to be seen, "
            'such as alt="64 digits sampled from a DCGAN after 1200 steps".'
        )
    return alt.strip()


def alert(text):
    """An error as HTML, for a widget: its callbacks have no cell to raise in."""
    return f'<pre role="alert" style="color:#B00020;white-space:pre-wrap">{html.escape(text)}</pre>'


def _encode(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
