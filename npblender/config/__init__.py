"""A model's sizes and a search's settings: frozen records, read from files and written to them.

    model_fields, model_config              BlenderbotSmallConfig, config.json
    generation_fields, generation_config    GenerationConfig, generation_config.json
What a setting does is written where it is read.
"""

from npblender.config.generation_config import GenerationConfig
from npblender.config.generation_options import GENERATION_DEFAULTS
from npblender.config.model_config import ACTIVATIONS, LAYER_NORM_EPS, BlenderbotSmallConfig

__all__ = ["ACTIVATIONS", "GENERATION_DEFAULTS", "LAYER_NORM_EPS", "BlenderbotSmallConfig", "GenerationConfig"]
