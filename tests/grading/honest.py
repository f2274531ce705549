"""Right work in odd clothes, as learners and their platforms hand it in: every kind must earn all of its points, wherever it is judged.

A file answers four exercises of lesson 12 in four odd ways and the others plainly, comes under an odd name or in an odd format, and has
odd cells besides.
"""

import io
import json
import textwrap
import unicodedata
import zipfile
from dataclasses import dataclass, field

from bank import LESSON, RIGHT, answer, as_notebook

CONV, POOL, TRANSPOSE, FIELD = ODD = ("conv2d", "max_pool2d", "conv_transpose2d", "receptive_field")
OTHERS = [answer(name, RIGHT[name]) for name in LESSON if name not in ODD]
INNER = {name: answer(name, RIGHT[name], name=f"_{name}") for name in ODD}  # to be called by an odd answer
ARGUMENTS = {
    CONV: "x, weight, bias, stride, padding",
    POOL: "x, kernel_size, stride",
    TRANSPOSE: "x, weight, stride, padding",
    FIELD: "layers",
}


@dataclass(frozen=True)
class File:
    """What one learner hands in.

    path: below the folder of all. kind: what is odd about its name or format. answers: {exercise: (what is odd, source)}. cells: (what is
    odd, source, before or after the answers). wrap: cells -> bytes. besides: {path: bytes} of other files.
    """

    learner: str
    path: str
    kind: str
    answers: dict
    cells: tuple = ()
    wrap: object = as_notebook
    besides: dict = field(default_factory=dict)

    def content(self):
        before = [source for _, source, place in self.cells if place == "before"]
        after = [source for _, source, place in self.cells if place == "after"]
        return self.wrap([*before, *(source for _, source in self.answers.values()), *OTHERS, *after])


def odd(exercise, source, inner=True):
    """The source of an odd answer; `inner`: after a right one called _NAME, that it may call."""
    source = textwrap.dedent(source).strip() + "\n"
    return f"{INNER[exercise]}\n\n{source}" if inner else source


def before(what, source):
    return what, textwrap.dedent(source).strip(), "before"


def after(what, source):
    return what, textwrap.dedent(source).strip(), "after"


def plain(exercise):
    return "written with loops or slices", answer(exercise, RIGHT[exercise])


def body(exercise, what, lines):
    """An answer with this body, which may call _NAME(ARGUMENTS)."""
    return what, odd(exercise, answer(exercise, lines))


def script(cells):
    return "\n\n".join(cells).encode()


def windows_script(cells):
    return b"\xef\xbb\xbf" + script(cells).replace(b"\n", b"\r\n")


def converted(cells):
    """As jupyter nbconvert --to script writes it."""
    head = "#!/usr/bin/env python\n# coding: utf-8\n\n"
    marked = [f"# In[{i}]:\n\n\n{cell}\n" for i, cell in enumerate(cells, 1)]
    magic = "# In[ ]:\n\n\nget_ipython().run_line_magic('matplotlib', 'inline')\nget_ipython().system('pip install einops')\n"
    return (head + "\n\n".join([magic, *marked])).encode()


def colab(cells):
    """Cells with forms and ids in metadata, sources as one text, outputs left in."""
    book = json.loads(as_notebook(cells, {"colab": {"provenance": []}, "accelerator": "GPU"}))
    for i, cell in enumerate(book["cells"]):
        title = "" if "".join(cell["source"]).startswith("%%") else '#@title Answer { display-mode: "form" }\n'
        cell["source"] = title + "".join(cell["source"])
        cell["metadata"] = {"id": f"x{i}", "cellView": "form"}
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    return json.dumps(book).encode()


def kaggle(cells):
    """Without execution counts and outputs, in format 4.0, its kernel called python3."""
    book = json.loads(as_notebook(cells, {"kernelspec": {"name": "python3", "language": "python3"}}))
    for cell in book["cells"]:
        del cell["execution_count"], cell["outputs"]
    book["cells"].insert(0, {"cell_type": "raw", "metadata": {}, "source": "raw"})
    return json.dumps({**book, "nbformat_minor": 0}, ensure_ascii=False).encode()


def windows_notebook(cells):
    return as_notebook([cell.replace("\n", "\r\n") for cell in cells])


def zipped(name):
    def wrap(cells):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, as_notebook(cells))
            file.writestr("__MACOSX/._" + name.split("/")[-1], b"\x00\x05\x16\x07")
            file.writestr(f"x/.ipynb_checkpoints/{name.split('/')[-1]}", as_notebook([]))
            file.writestr("x/picture.png", b"\x89PNG")
        return data.getvalue()

    return wrap


WRONG = as_notebook([answer(name, "return 0") for name in LESSON])

FILES = (
    File(
        "Anna Meier",
        "Anna Meier_1234567_assignsubmission_file_/12_convolution.ipynb",
        "a folder of Moodle's",
        {
            CONV: (
                "torch.jit.script",
                """
import torch
from typing import Optional

@torch.jit.script
def conv2d(x: torch.Tensor, weight: torch.Tensor, bias: Optional[torch.Tensor] = None, stride: int = 1, padding: int = 0):
    n, c, height, width = x.shape
    o, _, kh, kw = weight.shape
    padded = torch.zeros([n, c, height + 2 * padding, width + 2 * padding])
    padded[:, :, padding:padding + height, padding:padding + width] = x
    h, w = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    out = torch.zeros([n, o, h, w])
    for i in range(h):
        for j in range(w):
            window = padded[:, :, i * stride:i * stride + kh, j * stride:j * stride + kw]
            out[:, :, i, j] = torch.einsum("ncab,ocab->no", [window, weight])
    if bias is not None:
        out = out + bias[:, None, None]
    return out
""",
            ),
            POOL: ("torch.inference_mode", odd(POOL, "import torch\nmax_pool2d = torch.inference_mode()(_max_pool2d)")),
            TRANSPOSE: body(
                TRANSPOSE,
                "a Parameter as the result",
                "return torch.nn.Parameter(_conv_transpose2d(x.detach(), weight.detach(), stride, padding))",
            ),
            FIELD: body(FIELD, "a NumPy integer", "import numpy\nreturn numpy.int64(_receptive_field(layers))"),
        },
        (
            before("a cell of imports with the course on the same line", "import aigc_lessons as al, torch"),
            before(
                "a setting of the course's in a global",
                "cfg = al.settings(steps=(1, 2, 3))\ndevice, steps = cfg.device, cfg.steps\nal.seed_everything(0)",
            ),
            after(
                "checks of the course's",
                'al.exercises.check("conv2d", conv2d)\nassert al.exercises.check("conv2d", conv2d).points == 4',
            ),
        ),
    ),
    File(
        "meierbo",
        "meierbo_LATE_12345_67890_12_convolution-1.ipynb",
        "a name of Canvas's, late and handed in again",
        {
            CONV: (
                "globals from other cells",
                answer(CONV, RIGHT[CONV].replace("torch.zeros", "make").replace('"ncab,ocab->no"', "FORMULA")),
            ),
            POOL: body(
                POOL,
                "a NumPy array in Fortran's order",
                "import numpy\nreturn numpy.asfortranarray(_max_pool2d(x, kernel_size, stride).detach().numpy())",
            ),
            TRANSPOSE: (
                "an nn.Module as the answer",
                odd(
                    TRANSPOSE,
                    """
                    class Transposed(torch.nn.Module):
                        def forward(self, x, weight, stride=1, padding=0):
                            return _conv_transpose2d(x, weight, stride, padding)
                    conv_transpose2d = Transposed().eval()""",
                ),
            ),
            FIELD: body(FIELD, "a float", "return float(_receptive_field(layers))"),
        },
        (
            before(
                "globals made in a loop and a with block",
                "import torch\nfor FORMULA in ['', 'ncab,ocab->no']:\n    pass\nwith torch.no_grad():\n    make = torch.zeros",
            ),
            before("%%bash, %%html and %%writefile cells", "%%bash\nls -l | grep x && echo 'done"),
            before("a line of %time that assigns", "%time total = sum(range(10))\nassert total == 45"),
            after("a shell command and a question", "!pip install einops\nfiles = !ls\ntorch.conv2d?"),
        ),
        windows_notebook,
    ),
    File(
        "cem01",
        "Exercise 12_cem01_attempt_2026-11-13-10-12-13_answers.ipynb",
        "a name of Blackboard's, with dates in it",
        {
            CONV: ("torch.compile", odd(CONV, "conv2d = torch.compile(_conv2d)")),
            POOL: (
                "torch.compile with options, as a decorator",
                odd(
                    POOL,
                    "@torch.compile(fullgraph=True)\ndef max_pool2d(x, kernel_size, stride):\n    return _max_pool2d(x, kernel_size, stride)",
                ),
            ),
            TRANSPOSE: body(
                TRANSPOSE, "torch.compile inside", "return torch.compile(_conv_transpose2d)(x, weight, stride, padding)"
            ),
            FIELD: body(FIELD, "an array without axes", "import numpy\nreturn numpy.array(_receptive_field(layers))"),
        },
        (
            before(
                "a broken function above others in one cell",
                "import torch\ndef broken(:\n    return 1\n\nEPS = 1e-5\n\ndef fine():\n    return EPS",
            ),
            before("a cell that is no Python at all", "Here I explain my answer: it's easy!"),
            after("return outside of a function", "x = 1\nreturn x"),
        ),
        kaggle,
    ),
    File(
        "Dua Özgür",
        "12345-67890 - Dua Özgür - Nov 13, 2026 1012 AM/12_convolution.ipynb",
        "a folder of Brightspace's",
        {
            CONV: (
                "annotations of a library that is not there",
                odd(
                    CONV,
                    'def conv2d(x: Float[Tensor, "n c h w"], weight: Float[Tensor, "o c a b"], bias=None, stride=1, padding=0) -> Tensor:\n    return _conv2d(x, weight, bias, stride, padding)',
                ),
            ),
            POOL: body(POOL, "double precision", "return _max_pool2d(x.double(), kernel_size, stride)"),
            TRANSPOSE: body(
                TRANSPOSE,
                "a view that is not contiguous",
                "return _conv_transpose2d(x, weight, stride, padding).permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)",
            ),
            FIELD: body(
                FIELD, "a tensor of one integer", "import torch\nreturn torch.tensor(_receptive_field(layers))"
            ),
        },
        (
            before(
                "imports that are not there", "import einops_of_nobody, torch\nfrom jaxtyping_of_nobody import Float"
            ),
            before("torch.set_default_device", 'torch.set_default_device("meta")'),
            after("its own test on the default device", "assert torch.zeros(2).device.type == 'meta'"),
        ),
    ),
    File(
        "Eva - Copy of 12_convolution",
        "Eva/Copy of 12_convolution.ipynb",
        "a copy of Colab's, in a folder",
        {
            CONV: ("top-level await", odd(CONV, "async def make():\n    return _conv2d\nconv2d = await make()")),
            POOL: (
                "awaited after a pause",
                odd(POOL, "import asyncio\nawait asyncio.sleep(0)\nmax_pool2d = _max_pool2d"),
            ),
            TRANSPOSE: (
                "a lambda",
                odd(
                    TRANSPOSE,
                    "conv_transpose2d = lambda x, weight, stride=1, padding=0: _conv_transpose2d(x, weight, stride, padding)",
                ),
            ),
            FIELD: (
                "made by reduce",
                "from functools import reduce\nreceptive_field = lambda layers: reduce(lambda s, l: (s[0] + (l[0] - 1) * s[1], s[1] * l[1]), layers, (1, 1))[0]",
            ),
        },
        (
            before(
                "forms of Colab", 'steps = 100 # @param {type:"integer"}\nfrom_colab = True  #@param ["True", "False"]'
            ),
            before("google.colab that is not there", "from google.colab import drive\ndrive.mount('/content/drive')"),
            after("a cell that sleeps", "import time\ntime.sleep(1000)"),
        ),
        colab,
    ),
    File(
        "faruk",
        "faruk/12_convolution/12_convolution.ipynb",
        "nbgrader's folders",
        {
            CONV: (
                "*args and **kwargs",
                odd(CONV, "def conv2d(*args, **kwargs):\n    return _conv2d(*args, **kwargs)"),
            ),
            POOL: ("a partial", odd(POOL, "from functools import partial\nmax_pool2d = partial(_max_pool2d)")),
            TRANSPOSE: (
                "a decorator that counts and times",
                odd(
                    TRANSPOSE,
                    """
                    import functools, time
                    def timed(function):
                        @functools.wraps(function)
                        def inner(*args, **kwargs):
                            inner.calls += 1
                            started = time.perf_counter()
                            try:
                                return function(*args, **kwargs)
                            finally:
                                print(f"{time.perf_counter() - started:.3f}")
                        inner.calls = 0
                        return inner
                    conv_transpose2d = timed(_conv_transpose2d)""",
                ),
            ),
            FIELD: (
                "recursive",
                "def receptive_field(layers, field=1, step=1):\n    if not layers:\n        return field\n    (kernel, stride), *rest = layers\n    return receptive_field(rest, field + (kernel - 1) * step, step * stride)",
            ),
        },
        (
            before("warnings as errors", "import warnings\nwarnings.simplefilter('error')"),
            before(
                "a traceback pasted into a cell",
                "Traceback (most recent call last):\n  File \"<stdin>\", line 1\nNameError: name 'x' is not defined",
            ),
            after("sys.exit at the end", "import sys\nsys.exit('all done')"),
            after("exit() after that", "exit()"),
        ),
    ),
    File(
        "gül",
        "12-convolution-submissions/12-convolution-gül/answers.py",
        "GitHub Classroom's folders, a script",
        {
            CONV: (
                "annotations that only the future can read",
                odd(
                    CONV,
                    "def conv2d(x: Later, weight: Later, bias: Later | None = None, stride: int = 1, padding: int = 0) -> Later:\n    return _conv2d(x, weight, bias, stride, padding)",
                ),
            ),
            POOL: (
                "a static method",
                odd(
                    POOL,
                    "class Pooling:\n    @staticmethod\n    def max(x, kernel_size, stride):\n        return _max_pool2d(x, kernel_size, stride)\n\nmax_pool2d = Pooling.max",
                ),
            ),
            TRANSPOSE: (
                "a dataclass with its parameters",
                odd(
                    TRANSPOSE,
                    """
                    from dataclasses import dataclass
                    @dataclass(frozen=True)
                    class Step:
                        stride: int = 1
                        padding: int = 0
                        def __call__(self, x: Later, weight: Later) -> Later:
                            return _conv_transpose2d(x, weight, self.stride, self.padding)
                    def conv_transpose2d(x, weight, stride=1, padding=0):
                        return Step(stride, padding)(x, weight)""",
                ),
            ),
            FIELD: (
                "with match",
                "def receptive_field(layers):\n    match layers:\n        case []:\n            return 1\n        case [*rest, (kernel, stride)]:\n            step = 1\n            for _, s in rest:\n                step *= s\n            return receptive_field(rest) + (kernel - 1) * step",
            ),
        },
        (
            before("from __future__ import annotations", '"""My answers."""\nfrom __future__ import annotations'),
            before("a main guard that trains", "if __name__ == '__main__':\n    while True:\n        pass"),
            after("a broken function at the end of a script", "def plot(:\n    pass"),
        ),
        windows_script,
    ),
    File(
        "王小明",
        "王小明_12_答案.ipynb.json",
        ".ipynb.json, and no Latin letter",
        {
            CONV: body(
                CONV,
                "names that are not in ASCII",
                "größe, 步 = padding, stride\nreturn _conv2d(x, weight, bias, 步, größe)",
            ),
            POOL: (
                "in a try",
                odd(
                    POOL,
                    "try:\n    import nothing_of_this_name\nexcept ImportError:\n    def max_pool2d(x, kernel_size, stride):\n        return _max_pool2d(x, kernel_size, stride)",
                ),
            ),
            TRANSPOSE: (
                "in an if",
                odd(
                    TRANSPOSE,
                    "import torch\nif True:\n    def conv_transpose2d(x, weight, stride=1, padding=0):\n        return _conv_transpose2d(x, weight, stride, padding)",
                ),
            ),
            FIELD: body(
                FIELD,
                "a generator",
                "def fields():\n    step = 1\n    for kernel, stride in layers:\n        yield (kernel - 1) * step\n        step *= stride\nreturn 1 + sum(fields())",
            ),
        },
        (
            before("a string with a line separator", "text = 'a\u2028b'\nassert len(text) == 3\n%matplotlib inline"),
            before("a remainder at the start of a line, with magics", "left = (7\n% 4)\n%matplotlib inline"),
            after("plots", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
        ),
    ),
    File(
        "hana",
        "hana/12_convolution.ipynb.txt",
        ".ipynb.txt",
        {
            CONV: (
                "an autograd.Function with its own backward",
                odd(
                    CONV,
                    """
                    class Conv(torch.autograd.Function):
                        @staticmethod
                        def forward(ctx, x, weight, bias, stride, padding):
                            with torch.enable_grad():
                                inputs = [t.detach().requires_grad_() for t in (x, weight) + (() if bias is None else (bias,))]
                                ctx.inputs, ctx.out = inputs, _conv2d(*inputs, *(() if len(inputs) > 2 else (None,)), stride, padding)
                            return ctx.out.detach()
                        @staticmethod
                        def backward(ctx, gradient):
                            found = torch.autograd.grad(ctx.out, ctx.inputs, gradient)
                            return (*found, *(None,) * (5 - len(found)))
                    def conv2d(x, weight, bias=None, stride=1, padding=0):
                        return Conv.apply(x, weight, bias, stride, padding)""",
                ),
            ),
            POOL: body(
                POOL,
                "a pool of threads",
                "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool:\n    return torch.cat(list(pool.map(lambda one: _max_pool2d(one, kernel_size, stride), x.split(1))))",
            ),
            TRANSPOSE: (
                "vmap over the batch",
                answer(
                    TRANSPOSE,
                    RIGHT[TRANSPOSE].replace(
                        'torch.einsum("nc,coab->noab", x[:, :, i, j], weight)',
                        'torch.func.vmap(lambda pixel: torch.einsum("c,coab->oab", pixel, weight))(x[:, :, i, j])',
                    ),
                ),
            ),
            FIELD: body(
                FIELD,
                "a progress bar that is not there, and print",
                "try:\n    from tqdm_of_nobody import tqdm\nexcept ImportError:\n    tqdm = iter\nfor layer in tqdm(layers):\n    print(layer)\nreturn _receptive_field(layers)",
            ),
        },
        (
            before(
                "an import inside a cell that fails later", "import torch\nassert False, 'my own test'\nimport math"
            ),
            before("input()", "name = input('Your name? ')"),
            after("a thousand lines of output", "for i in range(1000):\n    print('x' * 1000)"),
        ),
    ),
    File(
        "ivo",
        "ivo/12_convolution.zip",
        "a zip, with what macOS adds",
        {
            CONV: body(
                CONV,
                "a sparse result",
                "return _conv2d(x.detach(), weight.detach(), bias, stride, padding).to_sparse()",
            ),
            POOL: body(
                POOL,
                "an expanded result",
                "out = _max_pool2d(x, kernel_size, stride)\nreturn out[..., None].expand(*out.shape, 1)[..., 0]",
            ),
            TRANSPOSE: (
                "no_grad as a decorator",
                odd(
                    TRANSPOSE,
                    "@torch.no_grad()\ndef conv_transpose2d(x, weight, stride=1, padding=0):\n    return _conv_transpose2d(x, weight, stride, padding)",
                ),
            ),
            FIELD: body(
                FIELD,
                "a set default dtype",
                "import torch\ntorch.set_default_dtype(torch.float64)\ntry:\n    return _receptive_field(layers)\nfinally:\n    torch.set_default_dtype(torch.float32)",
            ),
        },
        (
            before(
                "deterministic algorithms and anomaly detection",
                "import torch\ntorch.use_deterministic_algorithms(True)\ntorch.autograd.set_detect_anomaly(False)\ntorch.set_printoptions(precision=2)",
            ),
            after("display and get_ipython", "display(1)\nget_ipython().run_line_magic('time', 'pass')"),
        ),
        zipped("my answers/12_convolution.ipynb"),
    ),
    File(
        "jan",
        "jan/12_convolution (1).ipynb",
        "a newer copy of a browser's beside a wrong one",
        {
            CONV: body(
                CONV,
                "einsum on windows",
                "x = torch.nn.functional.pad(x, (padding,) * 4)\nwindows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)\nout = torch.einsum('nchwab,ocab->nohw', windows, weight)\nreturn out if bias is None else out + bias.view(1, -1, 1, 1)",
            ),
            POOL: body(
                POOL,
                "set_default_device inside",
                "torch.set_default_device('meta')\nreturn _max_pool2d(x, kernel_size, stride)",
            ),
            TRANSPOSE: (
                "exec",
                odd(
                    TRANSPOSE,
                    "exec('def conv_transpose2d(x, weight, stride=1, padding=0):\\n    return _conv_transpose2d(x, weight, stride, padding)')",
                ),
            ),
            FIELD: ("in globals()", odd(FIELD, "globals()['receptive_field'] = _receptive_field")),
        },
        (
            before(
                "an answer that is written twice, the first time wrong",
                "def conv2d(x, weight, bias=None, stride=1, padding=0):\n    return x\nimport torch",
            ),
            after(
                "a class that the course needs",
                "class Mine(al.models.DCGAN):\n    pass\nmodel = Mine()\nal.fit(model, steps=3)",
            ),
        ),
        besides={"jan/12_convolution.ipynb": WRONG, "jan/.ipynb_checkpoints/12_convolution-checkpoint.ipynb": WRONG},
    ),
    File(
        "Zoé",
        unicodedata.normalize("NFD", "Zoé/my answers.py"),
        "a name in NFD that says no lesson, converted to a script",
        {
            CONV: plain(CONV),
            POOL: plain(POOL),
            TRANSPOSE: plain(TRANSPOSE),
            FIELD: plain(FIELD),
        },
        (
            before(
                "a cell that trains for ever",
                "import torch\nw = torch.zeros(3, requires_grad=True)\nwhile True:\n    (w ** 2).sum().backward()",
            ),
        ),
        converted,
    ),
)
