"""Searches one shard in a process of its own: the folder of a gallery, queries, `k`, the hits."""

import sys

import numpy as np

from rocmr_keras.gallery import Gallery

folder, queries, k, hits = sys.argv[1:]
found = Gallery.load(folder).search(np.load(queries), int(k))
np.savez(hits, **{**found, "names": found["names"].astype(str)})
