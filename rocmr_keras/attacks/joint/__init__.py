"""Attacks on images and captions at once, each a schedule of the two single attacks."""

from rocmr_keras.attacks.joint.alternating import Alternating
from rocmr_keras.attacks.joint.co_attack import CoAttack
from rocmr_keras.attacks.joint.group_batch import Galleries
from rocmr_keras.attacks.joint.group_batch import GroupBatch
from rocmr_keras.attacks.joint.joint_attack import JointAttack
from rocmr_keras.attacks.joint.joint_encoder import JointEncoder
from rocmr_keras.attacks.joint.separate import Separate
from rocmr_keras.attacks.joint.sequential import Sequential
from rocmr_keras.attacks.joint.set_guidance import SetGuidance

_SCHEDULES = {
    "separate": Separate,
    "sequential": Sequential,
    "co_attack": CoAttack,
    "set_guidance": SetGuidance,
    "alternating": Alternating,
}

#: Their names, the strongest last.
SCHEDULES = tuple(_SCHEDULES)

__all__ = [
    "SCHEDULES",
    "Alternating",
    "CoAttack",
    "Galleries",
    "GroupBatch",
    "JointAttack",
    "JointEncoder",
    "Separate",
    "Sequential",
    "SetGuidance",
    "build",
    "check_schedule",
]


def check_schedule(name):
    """Raises a `ValueError` if there is no joint attack of this name."""
    if name not in SCHEDULES:
        raise ValueError(
            f"`schedule` must be one of {SCHEDULES}. Received: "
            f"schedule={name!r}. 'alternating' is the strongest."
        )


def build(schedule, image_attack, text_attack, objective=None):
    """Builds a joint attack by name.

    Args:
        schedule: `"separate"`, `"sequential"`, `"co_attack"`, `"set_guidance"` or
            `"alternating"`.
        image_attack: An `ImageAttack`.
        text_attack: A `TokenAttack`.
        objective: String or callable, what `"separate"`, `"sequential"` and the rounds of
            `"alternating"` maximise, or `None` for what each of them does by default; the others
            have objectives of their own. Defaults to `None`.

    Returns:
        A `JointAttack`.

    Raises:
        ValueError: If the schedule is unknown, or an attack is of another kind.
    """
    check_schedule(schedule)
    takes_it = schedule in ("separate", "sequential", "alternating")
    options = {"objective": objective} if takes_it and objective is not None else {}
    return _SCHEDULES[schedule](image_attack, text_attack, **options)
