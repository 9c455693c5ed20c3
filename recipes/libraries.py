"""Libraries that load where they are first used: `--help` and a wrong flag need none of them."""

import atexit
import gc
import importlib

# Before it ends, Python would go through all objects of the frameworks: two seconds of waiting.
atexit.register(gc.freeze)


class Library:
    """Stands for a module, which is imported when something in it is asked for."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, attribute):
        # Without it Keras would not know the classes in a file.
        importlib.import_module("rocmr_keras")
        return getattr(importlib.import_module(self.name), attribute)


keras = Library("keras")
rk = Library("rocmr_keras")
serving = Library("rocmr_keras.serving")
