from rocmr_keras.evaluation.encode import Embeddings
from rocmr_keras.evaluation.encode import encode
from rocmr_keras.evaluation.encode import encode_attacked
from rocmr_keras.evaluation.evaluate import evaluate
from rocmr_keras.evaluation.ranks import cross_modal_ranks
from rocmr_keras.evaluation.ranks import query_ranks
from rocmr_keras.evaluation.ranks import recall_at_k
from rocmr_keras.evaluation.ranks import summarize
from rocmr_keras.evaluation.threat import Threat

__all__ = [
    "Embeddings",
    "Threat",
    "cross_modal_ranks",
    "encode",
    "encode_attacked",
    "evaluate",
    "query_ranks",
    "recall_at_k",
    "summarize",
]
