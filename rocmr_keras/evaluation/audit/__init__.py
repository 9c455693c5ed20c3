"""Signs of hidden gradients: one verdict and one figure for each check."""

from rocmr_keras.evaluation.audit.audit import CHECKS
from rocmr_keras.evaluation.audit.audit import audit
from rocmr_keras.evaluation.audit.audit import format_audit

__all__ = ["CHECKS", "audit", "format_audit"]
