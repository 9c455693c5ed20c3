"""What may be appended to a gallery and removed from it."""

import numpy as np

from rocmr_keras.data.bad_items import listed


def check_new(gallery, added):
    """Refuses items that cannot stand behind those of a gallery.

    Args:
        gallery: `Gallery`.
        added: `Gallery` of the new items.

    Raises:
        ValueError: If their width is another, an id is there already, or comes twice where those
            of `gallery` do not.
    """
    widths = gallery.vectors.shape[1], added.vectors.shape[1]
    if widths[0] != widths[1]:
        raise ValueError(
            f"`vectors` must have the width of the gallery, {widths[0]}. Received: vectors of "
            f"width {widths[1]}. Embed them with the model that the gallery is of."
        )
    known = np.intersect1d(gallery.ids, added.ids)
    if known.size:
        raise ValueError(
            "`ids` must be new. Received: ids that the gallery has already: "
            f"{_text(known)}. Remove these items first, or count on from "
            f"{gallery.ids.max() + 1}."
        )
    if _repeated(added.ids).size and not _repeated(gallery.ids).size:
        raise ValueError(
            "`ids` must all be different, as those of the gallery are. Received: more than once: "
            f"{_text(_repeated(added.ids))}. Give each item its own."
        )


def rows_without(gallery, ids):
    """Returns which rows of a gallery are left without some ids.

    Args:
        gallery: `Gallery`.
        ids: Int64 array `(some,)`.

    Returns:
        Integer array, rising.

    Raises:
        ValueError: If the gallery has not all of the ids, or has no others.
    """
    unknown = np.setdiff1d(ids, gallery.ids)
    if unknown.size:
        raise ValueError(
            "`ids` must be ids of the gallery. Received: ids that it has not: "
            f"{_text(unknown)}. They may have been removed before: look at "
            "`gallery.ids`."
        )
    rows = np.flatnonzero(~np.isin(gallery.ids, ids))
    if not rows.size:
        raise ValueError(
            f"`ids` must leave an item. Received: ids of all {len(gallery)} items. A gallery "
            "cannot be empty: append the new items first."
        )
    return rows


def _repeated(ids):
    values, counts = np.unique(ids, return_counts=True)
    return values[counts > 1]


def _text(ids):
    return listed([str(number) for number in ids])
