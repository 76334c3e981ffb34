"""A model with matrices large enough to be laid out in panels, and sizes of matrices that fill panels or do not."""

from hypothesis import strategies as st

from npblender import BlenderbotSmallConfig

CONFIG = BlenderbotSmallConfig(
    vocab_size=1100,
    d_model=256,
    encoder_layers=1,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=8,
    encoder_ffn_dim=320,
    decoder_ffn_dim=576,
    max_position_embeddings=32,
)
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 200), st.sampled_from([1, 7, 64, 256, 257, 384, 512, 521, 960]))
