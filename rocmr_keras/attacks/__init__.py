from rocmr_keras.attacks import joint
from rocmr_keras.attacks import norms
from rocmr_keras.attacks import objectives
from rocmr_keras.attacks.attack import Attack
from rocmr_keras.attacks.goal import Goal
from rocmr_keras.attacks.images.apgd import APGD
from rocmr_keras.attacks.images.corruption import Corruption
from rocmr_keras.attacks.images.corruption import corruptions
from rocmr_keras.attacks.images.image_attack import ImageAttack
from rocmr_keras.attacks.images.pgd import PGD
from rocmr_keras.attacks.images.random_noise import RandomNoise
from rocmr_keras.attacks.images.square import Square
from rocmr_keras.attacks.objectives import Target
from rocmr_keras.attacks.query_encoder import QueryEncoder
from rocmr_keras.attacks.rank_margins import MarginAtK
from rocmr_keras.attacks.rank_margins import MarginsInTurn
from rocmr_keras.attacks.rank_margins import TargetedMargin
from rocmr_keras.attacks.strings.all_edits import fillers_for
from rocmr_keras.attacks.strings.candidate_edits import CharacterDraws
from rocmr_keras.attacks.strings.character_edits import CharacterEdits
from rocmr_keras.attacks.strings.human_draws import HumanDraws
from rocmr_keras.attacks.strings.human_edits import HumanEdits
from rocmr_keras.attacks.strings.human_edits import RandomHumanEdits
from rocmr_keras.attacks.strings.masked_word_substitution import MaskedWordSubstitution
from rocmr_keras.attacks.strings.random_character_edits import RandomCharacterEdits
from rocmr_keras.attacks.strings.string_attack import StringAttack
from rocmr_keras.attacks.strings.words import frequent_words
from rocmr_keras.attacks.tokens.adversarial_texts import encode_adversarial_texts
from rocmr_keras.attacks.tokens.edit_attack import EditAttack
from rocmr_keras.attacks.tokens.edit_choice import CharacterChoice
from rocmr_keras.attacks.tokens.embedding_attack import EmbeddingAttack
from rocmr_keras.attacks.tokens.embedding_pgd import EmbeddingPGD
from rocmr_keras.attacks.tokens.random_substitution import RandomSubstitution
from rocmr_keras.attacks.tokens.swap_masks import NearestNeighbors
from rocmr_keras.attacks.tokens.swap_masks import WholeWords
from rocmr_keras.attacks.tokens.token_attack import TokenAttack
from rocmr_keras.attacks.tokens.token_substitution import TokenSubstitution
from rocmr_keras.attacks.tokens.vocabulary import Vocabulary
from rocmr_keras.backend import value_and_grad

__all__ = [
    "APGD",
    "Attack",
    "CharacterChoice",
    "CharacterDraws",
    "CharacterEdits",
    "Corruption",
    "EditAttack",
    "EmbeddingAttack",
    "EmbeddingPGD",
    "Goal",
    "HumanDraws",
    "HumanEdits",
    "ImageAttack",
    "MarginAtK",
    "MarginsInTurn",
    "MaskedWordSubstitution",
    "NearestNeighbors",
    "PGD",
    "QueryEncoder",
    "RandomCharacterEdits",
    "RandomHumanEdits",
    "RandomNoise",
    "RandomSubstitution",
    "Square",
    "StringAttack",
    "Target",
    "TargetedMargin",
    "TokenAttack",
    "TokenSubstitution",
    "Vocabulary",
    "WholeWords",
    "corruptions",
    "encode_adversarial_texts",
    "fillers_for",
    "frequent_words",
    "joint",
    "norms",
    "objectives",
    "value_and_grad",
]
