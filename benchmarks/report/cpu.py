"""Pages of what was measured on CPUs."""

from collections.abc import Callable
from typing import Any

from benchmarks.report.text import (
    PUBLISHED,
    best,
    conditions,
    geometric_mean,
    markdown,
    paragraphs,
    peers_table,
    ratios,
)

#: Steps that a run of a whole layer is taken to have.
STEPS = 30
Found = dict[str, Any]


def steps(found: Found) -> str:
    """Time per image and step, and time for every filter of a layer."""
    cells = found["cells"]
    slower = [f"{c['network']} {c['layer']}" for c in cells if ratios(best(c))[0] < 1]
    worked = [ratios(best(cell, "processor_milliseconds")) for cell in cells]
    fastest, published = (geometric_mean(list(v)) for v in zip(*worked, strict=True))
    least = min(t.get("cosine", 1) for c in cells for t in c["peers"].values())
    dead = sum(16 - cell["live"] for cell in cells)
    effort = ""
    if any("whole" in cell["peers"]["jaxviz"] for cell in cells):
        effort = " jaxviz compiles small layers with less effort, and the pace here is theirs."
    return paragraphs(
        f"# CPU: a step, preset {found['preset']}",
        conditions(found),
        "Milliseconds per image and step.",
        peers_table(cells, best),
        f"Cells where a peer is faster: {', '.join(slower) or 'none'}. By processor time the "
        f"geometric means are {fastest:.2f} (fastest peer) and {published:.2f} ({PUBLISHED}). The "
        f"least cosine between a peer's first step and jaxviz' is {least:.6f}. Images whose unit "
        f"has no gradient: {dead}.",
        "![Every peer's time in multiples of jaxviz'](steps.png)",
        "## A whole layer",
        f"Seconds for the compile and {STEPS} steps of every filter, at the pace above. For jaxviz "
        f"the choice of the chunk counts too.{effort} The start of the process and the load of the "
        "model do not count.",
        peers_table(cells, whole_layer),
    )


def whole_layer(cell: Found) -> dict[str, float]:
    """Peer: seconds for every filter of the layer, the first step and the rest at its pace."""
    found = {}
    for peer, pace in best(cell).items():
        known = cell["peers"][peer]
        whole = {"first_seconds": known["first_seconds"], "milliseconds": pace}
        whole |= known.get("whole", {})
        found[peer] = whole["first_seconds"] + cell["filters"] * STEPS * whole["milliseconds"] / 1e3
    return found


def beside_few(title: str, remark: str) -> Callable[[Found], str]:
    """A page of steps beside a few peers."""

    def page(found: Found) -> str:
        table = peers_table(found["cells"], best)
        unit = "Milliseconds per image and step."
        return paragraphs(f"# CPU: a step, {title}", conditions(found), unit, table, remark)

    return page


robust = beside_few(
    "preset robust",
    "`tensorflow-fourier` takes the same kind of step: a Fourier image in decorrelated colours, "
    "shifted and scaled. The packages use their nearest equivalents: jitter and scale, and for "
    "lucent a Fourier image. Every step of jaxviz here is one of the search; later steps have no "
    "transforms.",
)
others = beside_few(
    "other networks",
    "Networks of `keras.applications` with random weights. No implementation was chosen by them. "
    "Of the peers only those take part that are fastest nearly everywhere else.",
)


def whole(found: Found) -> str:
    """A whole small network in one process."""
    rows = [["program", "seconds", "processor seconds", f"× {PUBLISHED}"]]
    reference = found["whole"][PUBLISHED]["seconds"]
    for name, took in found["whole"].items():
        times = [f"{took[name]:.1f}" for name in ("seconds", "processor_seconds")]
        rows.append([name, *times, f"{reference / took['seconds']:.2f}"])
    return paragraphs(
        "# CPU: a whole small network",
        conditions(found),
        f"All 224 filters of the galaxy CNN at {found['size']} px, 30 steps each, in one process. "
        "Import, compile and files are included.",
        markdown(rows, 1),
    )


def ceiling(found: Found) -> str:
    """The share of the machine that each cell uses."""
    rows = [["network", "layer", "px", "GFLOP", "GFLOP/s", "of products", "GB/s", "of memory"]]
    for cell in found["cells"]:
        rows.append(
            [cell["network"], cell["layer"], str(cell["size"]), f"{cell['gflop']:.3f}"]
            + [f"{cell['gflops_per_second']:.0f}", f"{cell['of_products']:.0%}"]
            + [f"{cell['gigabytes_per_second']:.1f}", f"{cell['of_memory']:.0%}"]
        )
    return paragraphs(
        "# CPU: fraction of the machine",
        conditions(found),
        markdown(rows, 2),
        f"The machine's rates, measured in the same run: {found['products']:.0f} GFLOP/s of matrix "
        f"products and {found['memory']:.1f} GB/s of memory. GFLOP counts the necessary operations "
        "of an image and step, with one channel of the layer. GB/s is the compiler's count of the "
        "program's traffic; much of it stays in the cache, so it can exceed the memory's rate. The "
        "times are those of the steps.",
    )


def growth(found: Found) -> str:
    """Growth of time and memory."""
    rows = [["growing", "from", "to", "seconds", "peak MB", "fit"]]
    for name, points in found["growth"].items():
        first, last = points[0], points[-1]
        peaks = [point["peak_megabytes"] for point in points]
        fit = found["fits"].get(name)
        line = f"{fit['start']:.2f} s + {fit['each']:.4f} s each, R² {fit['r2']:.4f}" if fit else ""
        rows.append(
            [name, str(first["at"]), str(last["at"])]
            + [f"{first['seconds']:.2f} to {last['seconds']:.2f}"]
            + [f"{min(peaks):.0f} to {max(peaks):.0f}", line]
        )
    return paragraphs(
        "# CPU: growth of time and memory",
        conditions(found),
        markdown(rows, 1),
        "Every point is a process of its own with an empty compile cache, from the loaded model to "
        f"the finished pictures. One filter and one step take {found['compile_seconds']:.2f} s, "
        "which is the compile.",
        "![Time and memory](growth.png)",
    )


def exact(found: Found) -> str:
    """Distance of the gradients from float64."""
    rows = [["network", "layer", "images"]]
    rows[0] += [
        f"{who}: {what}"
        for who in ("XLA", "jaxviz")
        for what in ("median error", "least cosine", "decided otherwise")
    ]
    for cell in found["cells"]:
        row = [cell["network"], cell["layer"], str(cell["images"])]
        for one in (cell["plain"], cell["jaxviz"]):
            row += [f"{one['median_error']:.1e}", f"{one['least_cosine']:.6f}"]
            row.append(str(one["decided_otherwise"]))
        rows.append(row)
    images = sum(cell["images"] for cell in found["cells"])
    plain, own = (
        sum(cell[who]["decided_otherwise"] for cell in found["cells"])
        for who in ("plain", "jaxviz")
    )
    return paragraphs(
        "# CPU: gradients against float64",
        conditions(found),
        "First gradients from noise, in float32 against float64, with XLA's implementation of "
        "every operation and with jaxviz'. *Decided otherwise* counts images in which a ReLU or a "
        "maximum selects otherwise than in float64; all other images agree up to rounding. Of "
        f"{images} images, {plain} decide otherwise with XLA's implementations and {own} with "
        "jaxviz'.",
        markdown(rows, 2),
    )
