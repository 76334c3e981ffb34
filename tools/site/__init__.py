"""The pages as a site: searchable, with the source code and a full API reference, and notebooks made from the blocks.

build        `python -m tools site`: stages the pages, runs Sphinx without warnings, checks every link
staged       the pages as Sphinx takes them: links to code lead to pages of code
code_pages   a page for each file of code, with an anchor for each line
reference    the API reference with whole docstrings and examples
notebooks    notebooks of pages, made from their blocks
built_links  whether every link of the built site leads to a page and a place in it
conf         Sphinx's settings
"""
