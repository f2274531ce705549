"""OpenMoji's drawings as pixels: which are taken, how they are named and grouped, and which belong on one side of a split."""

import io
import re
import xml.etree.ElementTree as ET
from collections import Counter, namedtuple

import numpy as np

from ..data.carried import EMOJI_CLASSES

SIDE, SMALL = 64, 32  # of the carried pictures, and of those by which they are compared
TONES = [0x1F3FB, 0x1F3FC, 0x1F3FD, 0x1F3FE, 0x1F3FF]  # the five skin tones, light to dark
JOINER, STYLE, WOMAN, MAN, PERSON, RIGHT = 0x200D, 0xFE0F, 0x1F469, 0x1F468, 0x1F9D1, 0x27A1
FEMALE, MALE, KEYCAP = 0x2640, 0x2642, 0x20E3
TWIN, SIBLING = 0.005, 0.02  # mean distance of two pictures in [-1, 1]: one of twins is left out, siblings share a side

RULES = [  # class, group and beginnings of subgroup in Unicode's table; the first that fits
    ("faces", "Smileys & Emotion", ("face",)),
    ("hearts", "Smileys & Emotion", ("heart",)),
    ("people", "People & Body", ("person", "family")),
    ("hands", "People & Body", ("hand", "body-parts")),
    ("animals", "Animals & Nature", ("animal",)),
    ("plants", "Animals & Nature", ("plant",)),
    ("food", "Food & Drink", ("",)),
    ("vehicles", "Travel & Places", ("transport",)),
    ("buildings", "Travel & Places", ("place-building", "place-religious")),
    ("sky", "Travel & Places", ("sky",)),
    ("clothing", "Objects", ("clothing",)),
    ("activities", "Activities", ("",)),
    ("objects", "Objects", ("",)),
    ("symbols", "Symbols", ("",)),
]

Emoji = namedtuple("Emoji", "place points name group subgroup file")


def read_table(path):
    """{code points without style marks: (place, name, group, subgroup)} of Unicode's emoji-test.txt."""
    found, group, subgroup = {}, "", ""
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if line.startswith("# group:"):
            group = line.split(":", 1)[1].strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.split(":", 1)[1].strip()
        elif match := re.match(r"([0-9A-F ]+?)\s*;\s*(\S+)\s*#\s*\S+\s+E[\d.]+\s+(.*)", line):
            points = tuple(int(p, 16) for p in match[1].split())
            plain = tuple(p for p in points if p != STYLE)
            if plain not in found or match[2] == "fully-qualified":
                found[plain] = (place, match[3].strip(), group, subgroup)
    return found


def drawn(folder, table):
    """The drawings that are in Unicode's table, in its order, without flags, keycaps and mere components."""
    out = []
    for file in folder.glob("*.svg"):
        points = tuple(int(p, 16) for p in file.stem.split("-"))
        plain = tuple(p for p in points if p != STYLE)
        if plain in table and KEYCAP not in points and table[plain][2] not in ("Flags", "Component"):
            place, name, group, subgroup = table[plain]
            out.append(Emoji(place, plain, name, group, subgroup, file))
    return sorted(out)


def untoned(emoji):
    return not set(TONES) & set(emoji.points)


def base(emoji):
    """Its code points without skin tones."""
    return tuple(p for p in emoji.points if p not in TONES)


def concept(emoji):
    """Its code points without skin tone, gender and direction: what stays one idea."""
    points = [PERSON if p in (MAN, WOMAN) else p for p in base(emoji) if p not in (FEMALE, MALE, RIGHT)]
    while points and points[-1] == JOINER:
        points.pop()
    return tuple(points)


def idea(emoji):
    """Its name without gender: some ideas, as of dancing, have code points of their own for a man and for a woman."""
    return re.sub(r"^(wo)?man |^(wo)?men |^person |^people ", "", emoji.name)


def toned(emojis):
    """[(emoji, tone 0 to 4)] of those that are drawn in each of the five tones, one tone for the whole picture."""
    single = [(e, TONES.index(*tones)) for e in emojis if len(tones := set(e.points) & set(TONES)) == 1]
    count = Counter(base(e) for e, _ in single)
    first = {}  # the place of an emoji is that of its first tone
    for e, _ in single:
        first.setdefault(base(e), e.place)
    kept = [pair for pair in single if count[base(pair[0])] == len(TONES)]
    return sorted(kept, key=lambda pair: (first[base(pair[0])], pair[1]))


def line_only(svg):
    """The drawing without its colours: of the groups at the top only those whose id begins with "line"."""
    root = ET.fromstring(svg)
    for part in list(root):
        if part.tag.endswith("}g") and not (part.get("id") or "").startswith("line"):
            root.remove(part)
    return ET.tostring(root, encoding="unicode")


def render(svg, side):
    """(side, side, 4) uint8: red, green, blue, alpha; black where nothing is drawn."""
    import resvg_py
    from PIL import Image

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))
    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def render_all(emojis, side=SIDE):
    """(color (N, side, side, 4), line (N, side, side)): the whole pictures, and the alpha of their black lines."""
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    drawings = [e.file.read_text(encoding="utf-8") for e in emojis]
    color = np.stack([render(svg, side) for svg in drawings])
    line = np.stack([render(line_only(svg), side) for svg in drawings])
    if line[..., :3].any():
        raise ValueError("A line is not black: its colour would be lost. Carry the colours of the lines too.")
    return color, line[..., 3]


def distances(rgb, alpha):
    """(N, N) mean absolute difference, in [0, 2], of pictures laid on white; in whole numbers, so that nothing is rounded.

    Args:
        rgb: (N, H, W, 3) uint8. alpha: (N, H, W, 1) uint8.
    """
    from scipy.spatial.distance import pdist, squareform

    rgb, alpha = rgb.astype(np.float64), alpha.astype(np.float64)
    on_white = (rgb * alpha + 255 * (255 - alpha)).reshape(len(rgb), -1)
    return squareform(pdist(on_white, "cityblock")) / on_white.shape[1] / (255 * 127.5)


def clusters(emojis, apart):
    """(N,) int16: pictures of one concept or idea, or linked by pairs that are near in color or line, share a number.

    Args:
        apart: distances (N, N), of color and of line.
    """
    parent = list(range(len(emojis)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first = {}
    for i, emoji in enumerate(emojis):
        for key in (concept(emoji), idea(emoji)):
            parent[root(i)] = root(first.setdefault(key, i))
    for near in apart:
        for i, j in np.argwhere(np.triu(near < SIBLING, 1)):
            parent[root(j)] = root(i)
    return np.unique([root(i) for i in range(len(emojis))], return_inverse=True)[1].astype(np.int16)


def class_of(emoji):
    for name, group, beginnings in RULES:
        if emoji.group == group and emoji.subgroup.startswith(beginnings):
            return EMOJI_CLASSES.index(name)
    return EMOJI_CLASSES.index("other")


def described(emojis, subgroups):
    """What the two files say alike of each picture."""
    return {
        "names": np.array([e.name for e in emojis]),
        "codes": np.array(["-".join(f"{p:X}" for p in e.points) for e in emojis]),
        "labels": np.array([class_of(e) for e in emojis], dtype=np.uint8),
        "subgroup": np.array([subgroups.index(e.subgroup) for e in emojis], dtype=np.uint8),
        "subgroups": np.array(subgroups),
    }


def make(table_file, svg_folder):
    """(arrays of the set, arrays of the tones): see `aigc_lessons.data.carried.emoji`."""
    everything = drawn(svg_folder, read_table(table_file))
    plain = [e for e in everything if untoned(e)]
    color, line = render_all(plain, SMALL)
    apart = distances(color[..., :3], color[..., 3:]), distances(np.zeros_like(line)[..., None], line[..., None])
    twin = np.tril(apart[0] < TWIN, -1).any(1)  # of an earlier one
    kept = np.flatnonzero(~twin)
    print(f"left out as twins of an earlier picture: {', '.join(plain[i].name for i in np.flatnonzero(twin))}")
    emojis = [plain[i] for i in kept]
    groups = clusters(emojis, [d[np.ix_(kept, kept)] for d in apart])
    color, line = render_all(emojis)
    subgroups = list(dict.fromkeys(e.subgroup for e in everything))
    whole = {"color": color, "line": line, "groups": groups, **described(emojis, subgroups)}

    pairs = toned(everything)
    in_tones = [e for e, _ in pairs]
    group_of = {concept(e): g for e, g in zip(emojis, groups)}
    color, line = render_all(in_tones)
    tones = {
        "color": color,
        "line": line,
        "groups": np.array([group_of[concept(e)] for e in in_tones], dtype=np.int16),
        "tone": np.array([tone for _, tone in pairs], dtype=np.uint8),
        **described(in_tones, subgroups),
    }
    return whole, tones
