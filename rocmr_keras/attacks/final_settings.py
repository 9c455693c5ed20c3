import inspect

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FinalSettings:
    """Mixin of `Attack` and `StringAttack` that makes their settings read-only.

    If a setting was changed later, a compiled step would keep the old value while reports
    would show the new one. Read-only are all arguments of the constructor and of inherited
    constructors, from the moment `self._freeze()` is called at the end of the constructor.
    A class that does not call it is frozen at its first call.
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
