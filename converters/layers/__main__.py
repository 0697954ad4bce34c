"""Every class that has been decided on, and how: `python -m converters.layers`."""

from __future__ import annotations

from converters.layers.registry import CONVERTERS, REFUSED


def described(name: str) -> str:
    """One class: what becomes of it, or why nothing does.

    Example:
        >>> described("Masking")
        'Masking  refused: masks what follows, which a spec has no way to say'
    """
    if name in REFUSED:
        return f"{name}  refused: {REFUSED[name]}"
    summary = (CONVERTERS[name].__doc__ or "").strip().splitlines()
    return f"{name}  {summary[0] if summary else 'converted'}"


def main() -> None:
    """Layers first, then the functions of `keras.ops`."""
    for name in sorted(CONVERTERS, key=lambda name: (name.startswith("ops."), name)):
        print(described(name))


if __name__ == "__main__":
    main()
