"""Signs of hidden gradients: one verdict and one figure for each check."""

from rocmr_keras.evaluation.masking_audit.all_checks import CHECKS
from rocmr_keras.evaluation.masking_audit.all_checks import audit
from rocmr_keras.evaluation.masking_audit.all_checks import format_audit

__all__ = ["CHECKS", "audit", "format_audit"]
