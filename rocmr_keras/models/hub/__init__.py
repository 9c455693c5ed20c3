"""Towers made of the models people already use: KerasHub backbones, `keras.applications`."""
