from rocmr_keras.data.emoji import load_emoji

LOADERS = {"emoji": load_emoji}


def load(name, **options):
    if name not in LOADERS:
        raise ValueError(
            f"`name` must be one of {sorted(LOADERS)}. Received: name={name!r}. "
            "Data in another format can be passed as a `rocmr_keras.data.Split`."
        )
    return LOADERS[name](**options)
