"""Boxes, arrows and words as SVG, on a ground of its own, so that it reads alike on light and dark pages."""

import html
from functools import cache

PX = 12  # size of the words
LINE = 16  # from line to line
INK, FAINT, PAPER = "#222222", "#777777", "#FFFFFF"
GRADIENT = "#C24700"  # Okabe and Ito's vermilion, darker: 5 to 1 on white
# Fill and border of each kind of box.
LOOKS = {
    "data": ("#F4F4F4", "#777777"),
    "conv": ("#DCEBF7", "#0072B2"),
    "transposed": ("#DFF3EC", "#00785A"),
    "linear": ("#F8EBD3", "#9A6A00"),
    "pool": ("#F0E3EC", "#9C4F7C"),
    "other": ("#EEEEFB", "#5555AA"),
    "learns": ("#DCEBF7", "#0072B2"),
    "frozen": ("#FFFFFF", "#777777"),
    "loss": ("#FBE3D6", "#C24700"),
}


class Drawing:
    """Collects shapes; `svg()` gives the file, cropped to what was drawn."""

    def __init__(self):
        self._parts, self._right, self._bottom = [], 0, 0

    def reach(self, x, y):
        self._right, self._bottom = max(self._right, x), max(self._bottom, y)

    def words(self, x, y, text, anchor="middle", colour=INK, style="", px=PX):
        """One line of text, its middle at height y."""
        self._parts.append(
            f'<text x="{x:.0f}" y="{y + px * 0.36:.1f}" text-anchor="{anchor}" font-size="{px}" fill="{colour}"{style}>'
            f"{html.escape(text)}</text>"
        )
        wide = width(text, px) * {"start": 1, "middle": 0.5, "end": 0}[anchor]
        self.reach(x + wide, y + LINE / 2)

    def box(self, box, lines, look, strong=(), dashed=False):
        """A rectangle (x, y, w, h) with centred lines; `strong` are the numbers of those in bold."""
        x, y, w, h = box
        fill, border = LOOKS[look]
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h:.0f}" rx="{12 if look == "data" else 4}" '
            f'fill="{fill}" stroke="{border}" stroke-width="1.5"{dashes}/>'
        )
        top = y + h / 2 - LINE * (len(lines) - 1) / 2
        for i, line in enumerate(lines):
            bold = ' font-weight="bold"' if i in strong else ""
            self.words(x + w / 2, top + i * LINE, line, style=bold)
        self.reach(x + w, y + h)

    def arrow(self, points, colour=INK, label="", head=True):
        """A line through points, with a head at its end and words at its middle."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        mark = f' marker-end="url(#{"gradient" if colour == GRADIENT else "forward"})"' if head else ""
        thick = 2.2 if colour == GRADIENT else 1.4
        self._parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{thick}"{mark}/>')
        if label:
            (x0, y0), (x1, y1) = points[len(points) // 2 - 1 : len(points) // 2 + 1]
            self.words((x0 + x1) / 2, (y0 + y1) / 2 - 10, label, colour=colour, px=11)
        for x, y in points:
            self.reach(x, y)

    def svg(self, title, margin=10):
        """(the file, (width, height))."""
        size = (round(self._right + margin), round(self._bottom + margin))
        marks = "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="{side}" markerHeight="{side}" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
            for name, colour, side in (("forward", INK, 8), ("gradient", GRADIENT, 10))
        )
        title = html.escape(title, quote=True)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{title}" '
            f'font-family="DejaVu Sans, Verdana, Arial, sans-serif"><title>{title}</title><defs>{marks}</defs>'
            f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>'
        )
        return head + "".join(self._parts) + "</svg>", size


def size_of(lines, pad=7):
    """(width, height) of a box for these lines."""
    return max(width(line) for line in lines) + 2 * pad, LINE * len(lines) + 2 * pad - 2


def between(a, b, aside=0):
    """The line from the border of box `a` to the border of box `b`, shifted `aside` to its left, with room for the head."""
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    long = max(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5, 1e-9)
    ux, uy = (bx - ax) / long, (by - ay) / long
    ax, ay, bx, by = ax + uy * aside, ay - ux * aside, bx + uy * aside, by - ux * aside
    leave, enter = _exit(a, ax, ay, ux, uy) + 1, _exit(b, bx, by, -ux, -uy) + 2
    return [(ax + ux * leave, ay + uy * leave), (bx - ux * enter, by - uy * enter)]


def _centre(box):
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _exit(box, x, y, ux, uy):
    """How far from the point (x, y) within the box its border is, in the direction (ux, uy)."""
    left, top, w, h = box
    far = []
    if abs(ux) > 1e-9:
        far.append(((left + w if ux > 0 else left) - x) / ux)
    if abs(uy) > 1e-9:
        far.append(((top + h if uy > 0 else top) - y) / uy)
    return max(0, min(far))


def width(text, px=PX):
    """CSS pixels that a text takes in DejaVu Sans, the widest of the fonts asked for."""
    return _font().getlength(text) * px / 100


@cache
def _font():
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 100)
