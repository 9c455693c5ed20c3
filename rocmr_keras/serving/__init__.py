"""A thin server that speaks TensorFlow Serving's protocol; needs the extra `serve`."""

try:
    from rocmr_keras.serving.admission import Admission
    from rocmr_keras.serving.attack_lab import AttackLab
    from rocmr_keras.serving.bodies import Bodies
    from rocmr_keras.serving.model_versions import ModelVersions
    from rocmr_keras.serving.page import Page
    from rocmr_keras.serving.request_error import RequestError
    from rocmr_keras.serving.servable import Servable
    from rocmr_keras.serving.server import Server
    from rocmr_keras.serving.thumbnails import Thumbnails
except ModuleNotFoundError as error:
    if (error.name or "").startswith("rocmr_keras"):
        raise
    raise ImportError(
        "Serving needs the packages of the extra `serve`. "
        f'Received: no module {error.name!r}. Run `pip install "rocmr-keras[serve]"`.'
    ) from error

__all__ = [
    "Admission",
    "AttackLab",
    "Bodies",
    "ModelVersions",
    "Page",
    "RequestError",
    "Servable",
    "Server",
    "Thumbnails",
]
