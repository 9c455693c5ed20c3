"""Attack protocols: which side of a retrieval is attacked. Never compare two protocols."""

from rocmr_keras.evaluation.protocols.both import Both
from rocmr_keras.evaluation.protocols.inserted import Inserted
from rocmr_keras.evaluation.protocols.protocol import Protocol
from rocmr_keras.evaluation.protocols.protocol import Result
from rocmr_keras.evaluation.protocols.query import Query
from rocmr_keras.evaluation.protocols.right_items import RightItems

_PROTOCOLS = {kind.name: kind for kind in (Query, RightItems, Inserted, Both)}

__all__ = ["Both", "Inserted", "Protocol", "Query", "Result", "RightItems", "get"]


def get(identifier):
    """Returns a protocol.

    Args:
        identifier: A name (`"query"`, `"gallery"`, `"inserted"`, `"both"`) or a
            `Protocol`, which is returned as it is.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(identifier, Protocol):
        return identifier
    if isinstance(identifier, str) and identifier in _PROTOCOLS:
        return _PROTOCOLS[identifier]()
    raise ValueError(
        f"`protocol` must be one of {tuple(_PROTOCOLS)} or a `Protocol`. Received: "
        f"protocol={identifier!r}. Use 'query' where only the query is attacked."
    )
