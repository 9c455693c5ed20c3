import dataclasses

from rocmr_keras.data.image_headers import MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How `export_saved_model` stores weights and what its artefact takes.

    Args:
        dtype: `"float32"` or `"bfloat16"`, the type that weights are stored in. Defaults to
            `"float32"`.
        string_inputs: Boolean, whether texts are taken as strings. Without it the artefact needs
            no op of tensorflow-text. Defaults to `True`.
        max_pixels: Integer, the largest image that is decoded. Defaults to 64 million.

    Raises:
        ValueError: If a value is not one of these.
    """

    dtype: str = "float32"
    string_inputs: bool = True
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(
                "`dtype` must be 'float32' or 'bfloat16'. Received: "
                f"dtype={self.dtype!r}. It is the type that weights are stored in."
            )
        if self.max_pixels < 1:
            raise ValueError(
                "`max_pixels` must be 1 or more. Received: "
                f"max_pixels={self.max_pixels}. 64 million is the default."
            )
