"""Attacks on images and captions at once, each a schedule of the two single attacks."""

from rocmr_keras.attacks.joint.alternating import Alternating
from rocmr_keras.attacks.joint.co_attack import CoAttack
from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.joint.joint_encoder import JointEncoder
from rocmr_keras.attacks.joint.scene import Scene
from rocmr_keras.attacks.joint.separate import Separate
from rocmr_keras.attacks.joint.sequential import Sequential
from rocmr_keras.attacks.joint.set_guidance import SetGuidance

__all__ = [
    "Alternating",
    "CoAttack",
    "JointAttack",
    "JointEncoder",
    "Scene",
    "Separate",
    "Sequential",
    "SetGuidance",
]
