"""The pictures of docs/pictures/: SVG files, drawn from the model's code, the demo and stored measurements.

svg                 the few shapes that all of them are made of, in light and dark colors
architecture        the model from the catalogue of points
key_value_cache     the cache before and after a step
words               the merges of a word; an attention map
search              a tree of beams; the logit lens
measured            float32's error by layer; the training curve of the demo
draw                the task `pictures`: which file is drawn by what
look                photographs of pages and pictures in a real Chromium, to be looked at
"""
