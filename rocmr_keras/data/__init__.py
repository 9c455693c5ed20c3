from rocmr_keras.data.loading import load
from rocmr_keras.data.pipeline import batches
from rocmr_keras.data.preprocessor import Preprocessor
from rocmr_keras.data.split import Split
