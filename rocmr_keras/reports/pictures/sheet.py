"""A sheet of text and pictures, drawn from the top down and saved as a PNG."""

import numpy as np

from rocmr_keras.reports.pictures.lettering import clean
from rocmr_keras.reports.pictures.lettering import font
from rocmr_keras.reports.pictures.lettering import wrap
from rocmr_keras.reports.pictures.png import check_path
from rocmr_keras.reports.pictures.png import import_matplotlib
from rocmr_keras.reports.pictures.png import write

WIDTH = 1200
MARGIN = 28

INK, MUTED, PALE = "#1f2328", "#656d76", "#d0d7de"
GREEN, RED = "#1a7f37", "#c0272d"


class Sheet:
    """Drawings in pixels from the top left; they become a figure when the height is known."""

    def __init__(self, path, title):
        self.path = check_path(path)
        import_matplotlib()
        from matplotlib.backends.backend_agg import RendererAgg

        self.ruler = RendererAgg(1, 1, 100)
        self.drawings = []
        self.top = MARGIN
        if title:
            words = [(word, INK) for word in title.split()]
            self.top = self.paragraph(MARGIN, self.top, WIDTH - 2 * MARGIN, words, 22, 3) + 16

    def text(self, x, top, text, size=14, color=INK, bold=False, align="left"):
        """One line of text; returns its right end if aligned left."""
        text, lettering = clean(text), font(size, bold)

        def draw(figure, height, identity):
            figure.text(
                x,
                height - top - size,
                text,
                color=color,
                fontproperties=lettering,
                ha=align,
                va="baseline",
                parse_math=False,
                usetex=False,
                transform=identity,
            )

        self.drawings.append(draw)
        return x + self._width(text, lettering)

    def paragraph(self, x, top, width, words, size, max_lines):
        """Wrapped words, (text, colour or None), coloured ones bold; returns the bottom."""
        plain = font(size, False)
        space = self._width("n n", plain) - self._width("nn", plain)

        def measure(word):
            return self._width(word[0], font(size, word[1] is not None))

        words = [(clean(text), color) for text, color in words]
        for line in wrap(words, width, measure, space, max_lines):
            position = x
            for text, color in line:
                self.text(position, top, text, size, color or INK, color is not None)
                position += measure((text, color)) + space
            top += round(1.4 * size)
        return top

    def picture(self, x, top, size, image):
        """An image fitted into a square; returns the bottom of the square."""
        pixels = _fit(to_uint8(image), size)
        x += (size - pixels.shape[1]) // 2
        bottom = top + (size + pixels.shape[0]) // 2

        def draw(figure, height, _):
            figure.figimage(pixels, x, height - bottom, origin="upper")

        self.drawings.append(draw)
        return top + size

    def frame(self, x, top, width, height, right):
        style = {"edgecolor": GREEN, "linewidth": 2.88} if right else {"edgecolor": PALE}
        outside = 2 if right else 1
        self._rectangle(
            x - outside,
            top - outside,
            width + 2 * outside,
            height + 2 * outside,
            **{"facecolor": "none", "linewidth": 0.72, **style},
        )

    def tick(self, x, top):
        self._rectangle(x, top, 26, 24, facecolor=GREEN, edgecolor="none")
        self.text(x + 13, top + 2, "✓", 17, "white", bold=True, align="center")

    def rule(self):
        self._rectangle(MARGIN, self.top, WIDTH - 2 * MARGIN, 1, facecolor=PALE, edgecolor="none")
        self.top += 18

    def save(self):
        from matplotlib.figure import Figure
        from matplotlib.transforms import IdentityTransform

        height = round(self.top + MARGIN - 20)
        figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white")
        for draw in self.drawings:
            draw(figure, height, IdentityTransform())
        write(figure, self.path)

    def _rectangle(self, x, top, width, height, **style):
        from matplotlib.patches import Rectangle

        def draw(figure, page_height, identity):
            corner = (x, page_height - top - height)
            style.update(snap=True, transform=identity)
            figure.add_artist(Rectangle(corner, width, height, **style))

        self.drawings.append(draw)

    def _width(self, text, lettering):
        return self.ruler.get_text_width_height_descent(text, lettering, False)[0]


def _fit(pixels, size):
    """An image scaled into a square of `size`, its own pixels kept sharp when it is smaller."""
    from PIL import Image

    ratio = size / max(pixels.shape[:2])
    shape = [max(1, round(ratio * side)) for side in pixels.shape[1::-1]]
    image = Image.fromarray(pixels)
    if ratio > 1.0:
        factor = int(np.ceil(ratio))
        image = image.resize([factor * side for side in image.size], Image.Resampling.NEAREST)
        return np.asarray(image.resize(shape, Image.Resampling.BOX))
    return np.asarray(image.resize(shape, Image.Resampling.LANCZOS))


def unit_floats(image):
    image = np.asarray(image)
    return image / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)


def to_uint8(image):
    image = np.asarray(image)
    return image if image.dtype == np.uint8 else np.round(255.0 * image).astype(np.uint8)
