"""Norm balls: projection, steepest ascent and random draws."""

import math

import keras
from keras import ops

from rocmr_keras.backend import draw_rows


class Norm:
    """Base class of norm balls around zero.

    Tensors are perturbations whose `axes` together form one vector; the other axes
    index independent vectors. `radius` broadcasts against the perturbation.

    Args:
        axes: Tuple of negative integers, the axes of one vector. `None` means all
            except the first. Defaults to `None`.
    """

    def __init__(self, axes=None):
        self.axes = axes

    def project(self, perturbation, radius):
        """Returns the nearest point of the ball."""
        raise NotImplementedError

    def confine(self, clean, radius, value_range):
        """Returns a function that brings inputs into the ball around `clean` and the range.

        Args:
            clean: Float tensor, the centre of the ball.
            radius: Float or tensor.
            value_range: Pair of floats.
        """

        def bounded(moved):
            return ops.clip(clean + self.project(moved - clean, radius), *value_range)

        return bounded

    def ascend(self, gradient):
        """Returns the steepest unit step; zero where the gradient is zero."""
        raise NotImplementedError

    def sample(self, shape, radius, seed):
        """Returns a uniform draw from the ball."""
        raise NotImplementedError

    def sample_surface(self, shape, radius, seed):
        """Returns a draw at the full radius."""
        raise NotImplementedError

    def _axes(self, tensor):
        return self.axes or tuple(range(1, len(tensor.shape)))


class Linf(Norm):
    """The maximum norm: every element moves by at most the radius."""

    def project(self, perturbation, radius):
        return ops.clip(perturbation, -radius, radius)

    def confine(self, clean, radius, value_range):
        # Ball and range are one box: one pass over the pixels instead of four.
        lower = ops.clip(clean - radius, *value_range)
        upper = ops.clip(clean + radius, *value_range)
        return lambda moved: ops.clip(moved, lower, upper)

    def ascend(self, gradient):
        return ops.sign(gradient)

    def sample(self, shape, radius, seed):
        return radius * draw_rows(keras.random.uniform, shape, minval=-1.0, maxval=1.0, seed=seed)

    def sample_surface(self, shape, radius, seed):
        # A corner of the box, where signed gradient steps end too.
        return radius * ops.sign(
            draw_rows(keras.random.uniform, shape, minval=-1.0, maxval=1.0, seed=seed)
        )


class L2(Norm):
    """The Euclidean norm over `axes`."""

    def project(self, perturbation, radius):
        length = ops.sqrt(self._sum(ops.square(perturbation)))
        # One part in a million inside, so that rounding `x + perturbation` to
        # float32 does not step over the edge.
        inside = radius * (1.0 - 1e-6)
        return perturbation * ops.minimum(1.0, inside / ops.maximum(length, 1e-30))

    def ascend(self, gradient):
        # Scaling by the largest element first keeps the squares of tiny gradients
        # from underflowing to a zero norm.
        largest = ops.max(ops.abs(gradient), axis=self._axes(gradient), keepdims=True)
        scaled = gradient / ops.maximum(largest, 1e-30)
        length = ops.sqrt(self._sum(ops.square(scaled)))
        return scaled / ops.maximum(length, 1e-30)

    def sample(self, shape, radius, seed):
        direction = self._direction(shape, seed)
        size = math.prod(int(direction.shape[axis]) for axis in self._axes(direction))
        share_shape = ops.shape(self._sum(direction))
        # The volume grows with the radius to the power of `size`: uniform in the ball means
        # that most draws are close to the surface.
        share = draw_rows(keras.random.uniform, share_shape, seed=seed)
        return radius * direction * ops.power(share, 1.0 / size)

    def sample_surface(self, shape, radius, seed):
        return radius * self._direction(shape, seed)

    def _direction(self, shape, seed):
        # Normal draws, unlike uniform ones, favour no direction.
        return self.ascend(draw_rows(keras.random.normal, shape, seed=seed))

    def _sum(self, tensor):
        return ops.sum(tensor, axis=self._axes(tensor), keepdims=True)


_NORMS = {"linf": Linf, "l2": L2}


def get(name, axes=None):
    """Returns the norm called `name`.

    Args:
        name: `"linf"` or `"l2"`.
        axes: Tuple of negative integers, the axes of one vector; `None` means all
            except the first. Defaults to `None`.

    Raises:
        ValueError: If there is no such norm.
    """
    if name not in _NORMS:
        raise ValueError(
            f"`norm` must be one of {sorted(_NORMS)}. Received: norm={name!r}. "
            "Use 'linf' to bound every pixel, 'l2' to bound the whole image."
        )
    return _NORMS[name](axes)
