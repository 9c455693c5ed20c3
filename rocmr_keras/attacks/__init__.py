from rocmr_keras.attacks import norms
from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.apgd import APGD
from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.candidates import NearestNeighbors
from rocmr_keras.attacks.candidates import WholeWords
from rocmr_keras.attacks.character_choice import CharacterChoice
from rocmr_keras.attacks.character_draws import CharacterDraws
from rocmr_keras.attacks.character_edits import CharacterEdits
from rocmr_keras.attacks.embedding_pgd import EmbeddingPGD
from rocmr_keras.attacks.masked_word_substitution import MaskedWordSubstitution
from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.perturb import encode_adversarial_texts
from rocmr_keras.attacks.perturb import perturb_images
from rocmr_keras.attacks.perturb import perturb_texts
from rocmr_keras.attacks.pgd import PGD
from rocmr_keras.attacks.query_encoder import QueryEncoder
from rocmr_keras.attacks.random_character_edits import RandomCharacterEdits
from rocmr_keras.attacks.random_noise import RandomNoise
from rocmr_keras.attacks.random_substitution import RandomSubstitution
from rocmr_keras.attacks.square import Square
from rocmr_keras.attacks.string_attack import StringAttack
from rocmr_keras.attacks.token_substitution import TokenSubstitution
from rocmr_keras.attacks.vocabulary import Vocabulary

__all__ = [
    "APGD",
    "Attack",
    "CharacterChoice",
    "CharacterDraws",
    "CharacterEdits",
    "EmbeddingPGD",
    "MaskedWordSubstitution",
    "NearestNeighbors",
    "PGD",
    "QueryEncoder",
    "RandomCharacterEdits",
    "RandomNoise",
    "RandomSubstitution",
    "Square",
    "StringAttack",
    "Target",
    "TokenSubstitution",
    "Vocabulary",
    "WholeWords",
    "encode_adversarial_texts",
    "norms",
    "objectives",
    "perturb_images",
    "perturb_texts",
]
