"""Sphinx's settings for the site; `build.py` runs it."""

from __future__ import annotations

from npblender.common.version import __version__

project = "npblender"
author = "The npblender maintainers"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # blocks that show output are no programs
highlight_language = "none"
html_theme = "furo"
html_title = "npblender"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
