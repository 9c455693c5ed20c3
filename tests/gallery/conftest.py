"""The model and the gallery that the tests of `export` have too."""

from tests.export.conftest import gallery
from tests.export.conftest import model
from tests.export.conftest import preprocessor

__all__ = ["gallery", "model", "preprocessor"]
