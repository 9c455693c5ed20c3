"""AutoAttack: its stages, and the worst rank of each query over them."""
