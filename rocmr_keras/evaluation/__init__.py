from rocmr_keras.evaluation import pictures
from rocmr_keras.evaluation import protocols
from rocmr_keras.evaluation.audit import audit
from rocmr_keras.evaluation.audit import format_audit
from rocmr_keras.evaluation.auto_attack import auto_attack
from rocmr_keras.evaluation.auto_failures import auto_attack_failures
from rocmr_keras.evaluation.eccv_caption import eccv_caption_ground_truth
from rocmr_keras.evaluation.encode import Embeddings
from rocmr_keras.evaluation.encode import encode
from rocmr_keras.evaluation.encode import encode_attacked
from rocmr_keras.evaluation.encode_joint import encode_joint
from rocmr_keras.evaluation.epsilon_curve import epsilon_curve
from rocmr_keras.evaluation.evaluate import evaluate
from rocmr_keras.evaluation.failures import worst_failures
from rocmr_keras.evaluation.html import write_html_report
from rocmr_keras.evaluation.hubness import hub_share
from rocmr_keras.evaluation.hubness import skewness
from rocmr_keras.evaluation.margins import compare_margins
from rocmr_keras.evaluation.margins import format_margins
from rocmr_keras.evaluation.ranking import Ranking
from rocmr_keras.evaluation.ranking import map_at_r
from rocmr_keras.evaluation.ranking import rank_both
from rocmr_keras.evaluation.ranking import rank_matches
from rocmr_keras.evaluation.ranks import cross_modal_ranks
from rocmr_keras.evaluation.ranks import query_ranks
from rocmr_keras.evaluation.ranks import recall_at_k
from rocmr_keras.evaluation.ranks import summarize
from rocmr_keras.evaluation.relevance import Relevance
from rocmr_keras.evaluation.report import format_report
from rocmr_keras.evaluation.report import merge_reports
from rocmr_keras.evaluation.report import write_report
from rocmr_keras.evaluation.samples import adversarial_pairs
from rocmr_keras.evaluation.samples import retrieval_rows
from rocmr_keras.evaluation.threat import Threat
from rocmr_keras.evaluation.transfer import transfer_matrix
from rocmr_keras.evaluation.verdict import verdict
from rocmr_keras.evaluation.worst_case import worst_case

__all__ = [
    "Embeddings",
    "Ranking",
    "Relevance",
    "Threat",
    "adversarial_pairs",
    "audit",
    "auto_attack",
    "auto_attack_failures",
    "compare_margins",
    "cross_modal_ranks",
    "eccv_caption_ground_truth",
    "encode",
    "encode_attacked",
    "encode_joint",
    "epsilon_curve",
    "evaluate",
    "format_audit",
    "format_margins",
    "format_report",
    "hub_share",
    "map_at_r",
    "merge_reports",
    "pictures",
    "protocols",
    "query_ranks",
    "rank_both",
    "rank_matches",
    "recall_at_k",
    "retrieval_rows",
    "skewness",
    "summarize",
    "transfer_matrix",
    "verdict",
    "worst_case",
    "worst_failures",
    "write_html_report",
    "write_report",
]
