import numpy as np


class RandomShift:
    """Shifts each image of a batch by whole pixels, and mirrors it if asked to.

    An augmentation for `batches(..., augment=...)` that costs a copy: on small
    images the interpolating layers of Keras take longer than a training step. Edge
    pixels are repeated where the image moved away. What is drawn for an image is a
    function of the seed, the epoch and its position in the epoch, so that a resumed run
    sees the same pictures.

    Args:
        share: Float in [0, 1), the most an image moves, of its height and width.
            Defaults to `0.1`.
        mirror: Boolean, whether half of the images are mirrored left to right: wrong
            where captions say "left" or there is writing. Defaults to `False`.
        seed: Integer. Defaults to `0`.

    Raises:
        ValueError: If `share` is not in [0, 1).
    """

    def __init__(self, share=0.1, mirror=False, seed=0):
        if not 0 <= share < 1:
            raise ValueError(
                f"`share` must be in [0, 1). Received: share={share!r}. "
                "0.1 moves an image by up to a tenth of its side."
            )
        self.share = share
        self.mirror = mirror
        self.seed = seed

    def apply_at(self, images, epoch, position):
        """Shifts images that follow one another in an epoch.

        Args:
            images: Array `(batch, height, width, channels)` of any type.
            epoch: Integer.
            position: Integer, the place of the first image in the epoch.

        Returns:
            Array like `images`.
        """
        draws = self._draw(len(images), epoch, position)
        height, width = images.shape[1:3]
        top, rows = self._move(draws[:, 0], height)
        left, columns = self._move(draws[:, 1], width)
        margins = ((0, 0), (top, top), (left, left), (0, 0))
        padded = np.pad(images, margins, mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
        moved = np.moveaxis(views, 3, 5)[np.arange(len(images)), rows, columns]
        if self.mirror:
            mirrored = draws[:, 2] < 0.5
            moved[mirrored] = moved[mirrored][:, :, ::-1]
        return moved

    def _draw(self, count, epoch, position):
        # Three numbers an image: those before it in the epoch are jumped over.
        bits = np.random.PCG64([self.seed, epoch]).advance(3 * position)
        return np.random.Generator(bits).random((count, 3))

    def _move(self, draws, size):
        """Returns the margin to add on either side, and where in it each image begins."""
        most = int(self.share * size)
        return most, (draws * (2 * most + 1)).astype("int64")
