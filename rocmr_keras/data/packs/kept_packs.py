import weakref


class KeptPacks:
    """Packs in memory, each as long as the split lives that it was made of.

    Found by their fingerprint, so that a split whose pixels, captions or files changed is
    packed anew. Tokens and decoded pixels are read-only, as those of a folder are: many share
    them.

    Args:
        most_bytes: Integer, all that is kept at once. The packs of the split that was asked
            for longest ago go first.
    """

    def __init__(self, most_bytes):
        self.most_bytes = most_bytes
        self._packs = weakref.WeakKeyDictionary()

    def find(self, split, fingerprint):
        """Returns the pack of a split with that fingerprint, or `None`."""
        mine = self._packs.pop(split, {})
        # Put in again, as the last one asked for.
        self._packs[split] = mine
        return mine.get(fingerprint)

    def add(self, split, packed):
        """Keeps a pack that was made of a split, and returns it."""
        for array in _owned(split, packed):
            array.setflags(write=False)
        self._packs.setdefault(split, {})[packed.fingerprint] = packed
        while self._size() > self.most_bytes:
            self._packs.pop(next(iter(self._packs)))
        return packed

    def _size(self):
        return sum(
            array.nbytes
            for split, packs in self._packs.items()
            for packed in packs.values()
            for array in _owned(split, packed)
        )


def _owned(split, packed):
    """Returns the arrays that a pack does not share with its split."""
    images = [] if packed.images is split.images else [packed.images]
    return [*images, *packed.tokens.values()]
