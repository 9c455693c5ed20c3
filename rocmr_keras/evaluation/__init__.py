from rocmr_keras.evaluation import protocols
from rocmr_keras.evaluation.encoded_split import EncodedSplit
from rocmr_keras.evaluation.encoding.embeddings import Embeddings
from rocmr_keras.evaluation.encoding.embeddings import encode
from rocmr_keras.evaluation.encoding.groups import encode_joint
from rocmr_keras.evaluation.encoding.queries import encode_attacked
from rocmr_keras.evaluation.encoding.searched_gallery import SearchedGallery
from rocmr_keras.evaluation.ensemble.run import auto_attack
from rocmr_keras.evaluation.epsilon_sweep import epsilon_curve
from rocmr_keras.evaluation.examples.at_random import adversarial_pairs
from rocmr_keras.evaluation.examples.at_random import retrieval_rows
from rocmr_keras.evaluation.examples.of_auto_attack import auto_attack_failures
from rocmr_keras.evaluation.examples.under_attack import rows_under_attack
from rocmr_keras.evaluation.examples.worst import worst_failures
from rocmr_keras.evaluation.guarantees.certified import certified_recall
from rocmr_keras.evaluation.guarantees.smoothing import Smoothing
from rocmr_keras.evaluation.guarantees.token_verification import verify_token_robustness
from rocmr_keras.evaluation.identity import split_sha256
from rocmr_keras.evaluation.identity import weights_sha256
from rocmr_keras.evaluation.margins import compare_margins
from rocmr_keras.evaluation.margins import format_margins
from rocmr_keras.evaluation.masking_audit import audit
from rocmr_keras.evaluation.masking_audit import format_audit
from rocmr_keras.evaluation.recall_report import evaluate
from rocmr_keras.evaluation.rows.rows_of_queries import attacked_rows
from rocmr_keras.evaluation.rows.rows_of_queries import query_rows
from rocmr_keras.evaluation.threat import Threat
from rocmr_keras.evaluation.transfer import transfer_matrix
from rocmr_keras.evaluation.universal import universal_perturbation
from rocmr_keras.evaluation.worst_ranks import worst_case
from rocmr_keras.reports import format_report

__all__ = [
    "Embeddings",
    "EncodedSplit",
    "SearchedGallery",
    "Smoothing",
    "Threat",
    "adversarial_pairs",
    "attacked_rows",
    "audit",
    "auto_attack",
    "auto_attack_failures",
    "certified_recall",
    "compare_margins",
    "encode",
    "encode_attacked",
    "encode_joint",
    "epsilon_curve",
    "evaluate",
    "format_audit",
    "format_margins",
    "format_report",
    "protocols",
    "query_rows",
    "retrieval_rows",
    "rows_under_attack",
    "split_sha256",
    "transfer_matrix",
    "universal_perturbation",
    "verify_token_robustness",
    "weights_sha256",
    "worst_case",
    "worst_failures",
]
