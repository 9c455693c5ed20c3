"""Checks for gradient masking, each with a verdict and a figure, and the verdict of all."""

from rocmr_keras.evaluation.masking_audit.all_checks import CHECKS
from rocmr_keras.evaluation.masking_audit.all_checks import audit
from rocmr_keras.evaluation.masking_audit.all_checks import format_audit

__all__ = ["CHECKS", "audit", "format_audit"]
