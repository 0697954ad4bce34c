"""The published loop written plainly in JAX: what jaxviz' compiled steps are compared with."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxviz.bundle import Bundle
from jaxviz.model import run
from jaxviz.objectives import trimmed_mean
from jaxviz.runtime.devices import Target, spread_units


def plain_step(
    bundle: Bundle, layer: str, size: int, target: Target, *, units: int
) -> jax.stages.Lowered:
    """The published loop's step, which computes the whole layer in float32.

    Args:
        bundle: A converted network.
        layer: The layer whose channels the images maximise.
        size: Side of the images in pixels.
        target: The devices that the step is compiled for.
        units: Images in one call, over all devices.

    Returns:
        The program of (weights, images, channels, number of steps).
    """
    spec = bundle.spec
    source = spec.inputs_of([layer])[0]

    def score(params, image, channel):
        whole = run(spec, params, {source.name: image[None]}, [layer])[layer][0]
        return trimmed_mean(jnp.take(whole, channel, axis=-1), 2)

    def step(params, image, channel):
        gradient = jax.grad(score, argnums=1)(params, image, channel)
        return image + 10 * gradient * jax.lax.rsqrt(jnp.sum(gradient**2) + 1e-12)

    def steps(params, images, channels, count):
        several = jax.vmap(step, in_axes=(None, 0, 0))
        return jax.lax.fori_loop(0, count, lambda _, x: several(params, x, channels), images)

    needed = {node.layer for node in spec.upstream([layer])}
    params = {name: own for name, own in bundle.weights.items() if name in needed}
    weights, number = target.placed(
        (
            jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float32), params),
            jax.ShapeDtypeStruct((), np.int32),
        ),
        split=False,
    )
    images, channels = target.placed(
        (
            jax.ShapeDtypeStruct((units, size, size, source.shape[-1]), jnp.float32),
            jax.ShapeDtypeStruct((units,), np.int32),
        ),
        split=True,
    )
    program = jax.jit(spread_units(steps, target.mesh), donate_argnums=1)
    return program.lower(weights, images, channels, number)
