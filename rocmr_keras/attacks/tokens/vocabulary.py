class Vocabulary:
    """The vocabulary of a model: the tokens an attack may write, and their embeddings.

    Args:
        embed: Callable from token ids `(batch, length)` to embeddings
            `(batch, length, dim)`.
        table: Float tensor `(vocabulary_size, dim)`, the embedding of each token.
        allowed: Boolean tensor `(vocabulary_size,)`, the tokens that may be written:
            never padding, start, end or other special tokens.
        is_whole_word: Boolean tensor `(vocabulary_size,)`, the pieces that are a word where
            they stand alone, or `None` where the strings behind the ids are unknown.
            Defaults to `None`.
        marks_ends: Boolean, whether words are told apart by marks at their ends, so that a
            piece without one belongs to the piece behind it. Else to the one before it.
            Defaults to `False`.
    """

    def __init__(self, embed, table, allowed, is_whole_word=None, marks_ends=False):
        self.embed = embed
        self.table = table
        self.allowed = allowed
        self.is_whole_word = is_whole_word
        self.marks_ends = marks_ends
