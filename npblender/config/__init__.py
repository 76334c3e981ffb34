"""Configuration: frozen records of what a model is and how text is generated, read from files and written to them.

In reading order:
    dialect             in what the originals disagree, as data: `Dialect`
    model_config        sizes, switches and special ids of a model: `BlenderbotSmallConfig`, config.json
    searches            the names of the searches
    option_kinds        what values a setting of generation may have
    generation_options  every setting of generation, one row each
    call_options        the types of what a caller may write for each, for type checkers
    generation_config   `GenerationConfig`, generation_config.json
    parlai_folder       what ParlAI writes beside a model, as the two records

What a setting does is written where it is read.
"""

from npblender.config.generation_config import GenerationConfig
from npblender.config.model_config import LAYER_NORM_EPS, BlenderbotSmallConfig

__all__ = ["LAYER_NORM_EPS", "BlenderbotSmallConfig", "GenerationConfig"]
