"""`npblender fetch`: downloads a model of the Hugging Face Hub to the Hub's cache, and prints its folder."""

from __future__ import annotations

import argparse

from npblender.common.printable import printable

EPILOG = """Needs pip install 'npblender[hub]' unless the model is in the cache. HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
HF_ENDPOINT and HF_TOKEN are honoured. Every --model and folder of the other commands takes such a name, too, and means
its branch main; of another revision it takes the folder that this command prints."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("name", metavar="OWNER/NAME", help="such as facebook/blenderbot_small-90M")
    parser.add_argument("--revision", metavar="REV", help="a branch, a tag or a commit (default: main)")
    parser.add_argument("--cache-dir", metavar="DIR", help="instead of the Hub's own cache")
    parser.add_argument("--local-files-only", action="store_true", help="download nothing")
    parser.add_argument("--force-download", action="store_true", help="download what is in the cache, too")


def run(arguments: argparse.Namespace) -> None:
    """Fetch, and print the folder."""
    from npblender.common.hub import Place, fetch

    place = Place(
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        local_files_only=arguments.local_files_only,
        force_download=arguments.force_download,
    )
    folder = fetch(arguments.name, place)
    print(printable(str(folder)))
