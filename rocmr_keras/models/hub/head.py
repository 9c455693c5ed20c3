"""The projection of a tower."""

from rocmr_keras.layers.projection_head import ProjectionHead


def make_head(width, projection_dim, hidden_dim):
    """Makes the projection of a tower, `None` where it needs none.

    Args:
        width: Integer, width of the features.
        projection_dim: Integer or `None`.
        hidden_dim: Integer or `None`.

    Returns:
        A `rocmr_keras.layers.ProjectionHead` or `None`.

    Raises:
        ValueError: If there is a hidden layer but nothing behind it.
    """
    if projection_dim is not None:
        return ProjectionHead(width, projection_dim, hidden_dim, name="head")
    if hidden_dim is not None:
        raise ValueError(
            "A `hidden_dim` needs a `projection_dim`. Received: "
            f"hidden_dim={hidden_dim}, projection_dim=None. Pass both."
        )
    return None
