"""Retrieval metrics of embeddings, in NumPy alone."""

from rocmr_keras.metrics.caption_changes import edit_distance
from rocmr_keras.metrics.caption_changes import text_changes
from rocmr_keras.metrics.duplicates import duplicate_captions
from rocmr_keras.metrics.duplicates import merged_relevance
from rocmr_keras.metrics.eccv_caption import eccv_caption_ground_truth
from rocmr_keras.metrics.hubness import hub_share
from rocmr_keras.metrics.hubness import skewness
from rocmr_keras.metrics.ranking import Ranking
from rocmr_keras.metrics.ranking import map_at_r
from rocmr_keras.metrics.ranking import rank_both
from rocmr_keras.metrics.ranking import rank_matches
from rocmr_keras.metrics.ranks import cross_modal_ranks
from rocmr_keras.metrics.ranks import query_ranks
from rocmr_keras.metrics.ranks import recall_at_k
from rocmr_keras.metrics.ranks import summarize
from rocmr_keras.metrics.relevance import Relevance

__all__ = [
    "Ranking",
    "Relevance",
    "cross_modal_ranks",
    "duplicate_captions",
    "eccv_caption_ground_truth",
    "edit_distance",
    "hub_share",
    "map_at_r",
    "merged_relevance",
    "query_ranks",
    "rank_both",
    "rank_matches",
    "recall_at_k",
    "skewness",
    "summarize",
    "text_changes",
]
