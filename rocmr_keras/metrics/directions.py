"""The directions of retrieval, across two modalities and within each."""

CROSS_MODAL = ("image_to_text", "text_to_image")
INTRA_MODAL = ("image_to_image", "text_to_text")


def sides(direction):
    """Returns the modality of the queries and that of the gallery, e.g. `"images"`."""
    queries, items = direction.split("_to_")
    return f"{queries}s", f"{items}s"


def across(queries):
    """Returns the direction in which queries of one modality search the other modality."""
    return "image_to_text" if queries == "images" else "text_to_image"
