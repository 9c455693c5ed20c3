import inspect

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FinalSettings:
    """Mixin of `Attack` and `StringAttack`: what an attack was built with is final.

    A compiled step would go on with the old setting, and a report would name the new one.
    Final are the arguments of the constructor and of those it inherits from: from the end
    of the constructor on where it ends in `self._freeze()`, at the latest from the first
    call on.
    """

    _settings = frozenset()
    _also_final = frozenset()
    _or_else = ""

    def __setattr__(self, name, value):
        # A subclass may store its own after the constructor of its parent has frozen it.
        if name in self._settings and vars(self).get(name, value) is not value:
            raise AttributeError(
                f"An attack cannot be changed after construction. Received: {name}="
                f"{value!r}. Build a new {type(self).__name__}{self._or_else}."
            )
        super().__setattr__(name, value)

    def _freeze(self):
        """Called last in a constructor: the settings are final from here on."""
        # Of the signatures, not of `get_config`, which serializes what is nested.
        names = set(self._also_final)
        for kind in type(self).__mro__:
            if issubclass(kind, FinalSettings) and "__init__" in vars(kind):
                names |= constructor_arguments(kind)
        self._settings = frozenset(names)

    def _freeze_at_first_call(self):
        if not self._settings:
            self._freeze()


def constructor_arguments(kind):
    """Returns the names of the arguments of a class's constructor, a set."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())
    return {each.name for each in parameters[1:] if each.kind in _NAMED}
