class SearchedGallery:
    """The gallery that queries search: embeddings, and which items are right for whom.

    Args:
        embeddings: Float array `(items, dim)`, L2-normalised.
        relevance: `Relevance` of the queries, all of one modality of a split, to the items.
    """

    def __init__(self, embeddings, relevance):
        self.embeddings = embeddings
        self.relevance = relevance
