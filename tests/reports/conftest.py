"""The report that the tests of `evaluation` have too."""

from tests.evaluation.conftest import make_model
from tests.evaluation.conftest import model
from tests.evaluation.conftest import preprocessor
from tests.evaluation.conftest import report
from tests.evaluation.conftest import split
from tests.evaluation.conftest import threats

__all__ = ["make_model", "model", "preprocessor", "report", "split", "threats"]
