"""Pages of what was compiled ahead of time for TPUs and GPUs."""

from typing import Any

from benchmarks.report.text import commit, geometric_mean, markdown, paragraphs

#: Variants of a step.
PLAIN, OURS, WIDE = "plain", "jaxviz", "jaxviz float32"
#: Keys of a variant's record: HBM traffic, and copies between HBM and VMEM.
MEMORY, COPIES = "hbm_megabytes", "copies_megabytes"
Found = dict[str, Any]


def tpu(found: list[Found]) -> str:
    """Traffic and operations on TPUs."""
    return paragraphs(
        "# TPU: a compiled step",
        "Compiled ahead of time on a machine without a TPU; nothing ran. All numbers but the last "
        "column are per image and step, with 128 units a chip. *plain* is the whole layer in "
        "float32 with XLA's implementation of every operation; the columns without a name are "
        "jaxviz in bfloat16, its default there. *MB* is the compiler's count of the traffic, "
        "*copies* its part between HBM and VMEM, *HBM* the traffic with HBM alone. [How to read "
        "the counts](method.md#compiled-ahead-of-time).",
        tpu_tables(found),
    )


def tpu_tables(found: list[Found]) -> str:
    """One table for every target that the plain translation was compiled for."""
    return paragraphs(*map(target_table, found))


def target_table(one: Found) -> str:
    """The table of one target; a sentence where only jaxviz' own variant was compiled."""
    cells = [cell for cell in one["cells"] if OURS in cell]
    compared = [cell for cell in cells if PLAIN in cell]
    head = f"## {one['target']}"
    if not compared:
        sent = sum(cell[OURS]["collectives"] for cell in cells)
        networks = len({cell["network"] for cell in cells})
        count = f"{len(cells)} cells of {networks} networks, {sent} collectives."
        return paragraphs(head, compiled_with(one["about"]), count)
    rows = [
        ["network", "layer", "GFLOP plain", "GFLOP", "peak MB plain", "peak MB", "MB plain"]
        + ["MB float32", "×", "MB", "**×**", "copies plain", "copies", "HBM plain", "HBM"]
        + ["**HBM ×**", "collectives"],
        *map(target_row, compared),
    ]
    ratios = [c[PLAIN]["megabytes_moved"] / c[OURS]["megabytes_moved"] for c in compared]
    summary = (
        f"{len(compared)} cells. Plain MB over MB: least {min(ratios):.2f}, "
        f"geometric mean {geometric_mean(ratios):.2f}."
    )
    return paragraphs(head, compiled_with(one["about"]), summary, markdown(rows, 2))


def target_row(cell: Found) -> list[str]:
    """The counts of one cell."""
    plain, ours, wide = cell[PLAIN], cell[OURS], cell.get(WIDE)
    moved = plain["megabytes_moved"]
    numbers = [plain["gflop"], ours["gflop"], plain["peak_megabytes"], ours["peak_megabytes"]]
    texts = [f"{n:.3g}" for n in (*numbers, moved)]
    texts += [f"{(w := wide['megabytes_moved']):.3g}", f"{moved / w:.2f}"] if wide else ["", ""]
    texts += [f"{ours['megabytes_moved']:.3g}", f"{moved / ours['megabytes_moved']:.2f}"]
    if MEMORY in plain and MEMORY in ours:
        texts += [f"{one[key]:.3g}" for key in (COPIES, MEMORY) for one in (plain, ours)]
        texts.append(f"{plain[MEMORY] / ours[MEMORY]:.2f}")
    else:
        texts += [""] * 5
    return [cell["network"], cell["layer"], *texts, str(ours["collectives"])]


def compiled_with(about: Found) -> str:
    """One line about a target: time, machine, versions and the commit of the latest cell."""
    versions = ", ".join(f"{n} {about['versions'][n]}" for n in ("jax", "libtpu"))
    return f"{about['time']}, compiled on {about['machine']}, {versions}, {commit(about)}"


def gpu(found: Found) -> str:
    """Memory, kernels and library calls on a GPU."""
    if "about" in found:
        about = found["about"]
        where = f"{about['time']}, compiled on {about['machine']}, {commit(about)}"
    else:
        where = "Machine and commit were not recorded"
    return paragraphs(
        "# GPU: a compiled step",
        f"{where}, jax {found['jax']}.",
        "Compiled ahead of time on a machine without a GPU; nothing ran, and no algorithm was "
        "chosen by timing. MB are per image and step, kernels and calls per step. *plain* is the "
        "whole layer in float32 with XLA's implementation of every operation; the columns without "
        "a name are jaxviz with its defaults.",
        gpu_table(found),
    )


def gpu_table(found: Found) -> str:
    """One row a cell."""
    rows = [
        ["network", "layer", "MB plain", "MB", "MB moved plain", "MB moved"]
        + ["kernels plain", "kernels", "cuDNN", "other calls", "convolutions outside"]
    ]
    for cell in found["cells"]:
        plain, ours = cell[PLAIN], cell[OURS]
        both = [(name, one) for name in ("megabytes", "megabytes_moved") for one in (plain, ours)]
        other = sum(ours["calls"].values()) - ours["cudnn"]
        counts = (plain["kernels"], ours["kernels"], ours["cudnn"], other)
        rows.append(
            [cell["network"], cell["layer"]]
            + [f"{one[name]:.3g}" for name, one in both]
            + [str(n) for n in (*counts, ours["own_convolutions"])]
        )
    outside = sum(cell[OURS]["own_convolutions"] for cell in found["cells"])
    head = f"{found['target']}, {found.get('units', 64)} units: {outside} convolutions outside"
    return paragraphs(f"{head} cuDNN in {len(found['cells'])} cells.", markdown(rows, 2))
