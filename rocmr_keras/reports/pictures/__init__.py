"""Pictures for people: what was retrieved, what an attack changed, how recall falls with epsilon.

matplotlib (and the Pillow that comes with it) is imported only when a picture is drawn:
`pip install "rocmr-keras[pictures]"`. No pyplot and no display; settings are left as they were.
"""

from rocmr_keras.reports.pictures.epsilon_curves import recall_against_epsilon
from rocmr_keras.reports.pictures.example_sheet import adversarial_examples
from rocmr_keras.reports.pictures.heat_map import transfer_heat_map
from rocmr_keras.reports.pictures.radius_curves import recall_against_radius
from rocmr_keras.reports.pictures.retrieval import retrieval_sheet

__all__ = [
    "adversarial_examples",
    "recall_against_epsilon",
    "recall_against_radius",
    "retrieval_sheet",
    "transfer_heat_map",
]
