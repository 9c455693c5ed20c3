from rocmr_keras.evaluation import pictures
from rocmr_keras.evaluation.encode import Embeddings
from rocmr_keras.evaluation.encode import encode
from rocmr_keras.evaluation.encode import encode_attacked
from rocmr_keras.evaluation.encode_joint import encode_joint
from rocmr_keras.evaluation.evaluate import evaluate
from rocmr_keras.evaluation.ranks import cross_modal_ranks
from rocmr_keras.evaluation.ranks import query_ranks
from rocmr_keras.evaluation.ranks import recall_at_k
from rocmr_keras.evaluation.ranks import summarize
from rocmr_keras.evaluation.report import format_report
from rocmr_keras.evaluation.report import write_report
from rocmr_keras.evaluation.samples import adversarial_pairs
from rocmr_keras.evaluation.samples import retrieval_rows
from rocmr_keras.evaluation.threat import Threat

__all__ = [
    "Embeddings",
    "Threat",
    "adversarial_pairs",
    "cross_modal_ranks",
    "encode",
    "encode_attacked",
    "encode_joint",
    "evaluate",
    "format_report",
    "pictures",
    "query_ranks",
    "recall_at_k",
    "retrieval_rows",
    "summarize",
    "write_report",
]
