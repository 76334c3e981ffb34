"""Downloads by the real `huggingface_hub` from a look-alike of the Hub on loopback."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from npblender import BlenderbotSmallForConditionalGeneration
from reference_tests.common.test_hub import HUB_SETTINGS
from reference_tests.support.hub_look_alike import COMMIT, EARLIER_NAME, NAME, TAGGED, LookAlike, serving

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="needs the extra [hub]: pip install 'npblender[hub]'"
)
STORED = f"models--{NAME.replace('/', '--')}"
TOKENIZER = [
    *("config.json", "generation_config.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"),
    "vocab.json",
]


@pytest.fixture
def look_alike(tiny_folder: Path) -> Iterator[LookAlike]:
    with serving(tiny_folder) as server:
        server.files |= {"README.md": b"read", "pytorch_model.bin": b"pickle", "flax_model.msgpack": b"flax"}
        server.files |= {f"inside/{name}": content for name, content in server.files.items()}
        config = json.loads(server.files["config.json"])
        server.tagged["config.json"] = json.dumps({**config, "max_length": 33}).encode()
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def environment(server: LookAlike, home: Path, variables: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in HUB_SETTINGS}
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return {**kept, **settings, **variables}


def run(
    server: LookAlike, home: Path, *words: str, given: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command of npblender in a process of its own, since the library reads its settings once."""
    return subprocess.run(
        [sys.executable, "-m", "npblender", *words],
        cwd=REPOSITORY, env=environment(server, home, variables), input=given, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


def python(server: LookAlike, home: Path, code: str, **variables: str) -> list[str]:
    """What a few lines of Python print, with the package's names imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"from npblender import *\nname = {NAME!r}\n{code}"],
        cwd=REPOSITORY, env=environment(server, home, variables), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_only_what_is_needed_is_downloaded(look_alike: LookAlike, home: Path) -> None:
    done = run(look_alike, home, "fetch", NAME)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder == home / "hub" / STORED / "snapshots" / COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted([*TOKENIZER, "model.safetensors"])
    for path in folder.iterdir():
        assert path.read_bytes() == look_alike.files[path.name]
    assert BlenderbotSmallForConditionalGeneration.from_pretrained(folder).num_parameters() > 0
    before = len(look_alike.asked)
    assert run(look_alike, home, "fetch", NAME, HF_HUB_OFFLINE="1").stdout == done.stdout
    assert run(look_alike, home, "fetch", NAME, "--local-files-only").stdout == done.stdout
    assert len(look_alike.asked) == before, "offline nothing is asked"
    assert run(look_alike, home, "fetch", NAME).stdout == done.stdout
    assert "GET /blobs" not in str([f"{a.command} {a.path}" for a in look_alike.asked[before:]]), "it is in the cache"


CHECKPOINTS = REPOSITORY / "reference_tests" / "golden" / "checkpoints"
LOADED = "print(BlenderbotSmallForConditionalGeneration.from_pretrained(name).get_input_embeddings().weight.sum())"


def test_without_safetensors_the_next_format_is_taken(look_alike: LookAlike, home: Path) -> None:
    """Flax's before pickles; of a repository with a pickle alone that is downloaded, and not read unasked."""
    flax, tokenizer = CHECKPOINTS / "flax", {name: look_alike.files[name] for name in ("vocab.json", "merges.txt")}
    look_alike.files = {path.name: path.read_bytes() for path in flax.iterdir()} | {"pytorch_model.bin": b"pickle"}
    (total,) = python(look_alike, home, LOADED)
    local = BlenderbotSmallForConditionalGeneration.from_pretrained(flax)
    assert total == str(local.get_input_embeddings().weight.sum())
    assert "flax_model.msgpack" in look_alike.downloads()
    assert "pytorch_model.bin" not in look_alike.downloads()
    look_alike.files = tokenizer | {path.name: path.read_bytes() for path in (CHECKPOINTS / "pickled").iterdir()}
    done = run(look_alike, home / "other", "chat", "--model", NAME, "hello")
    assert done.returncode == 2
    assert "allow" in done.stderr
    assert "pytorch_model.bin" in look_alike.downloads()


def test_a_tokenizer_downloads_no_weights_and_the_model_then_only_these(look_alike: LookAlike, home: Path) -> None:
    code = "BlenderbotSmallTokenizer.from_pretrained(name); print(BlenderbotSmallConfig.from_pretrained(name).d_model)"
    assert python(look_alike, home, code) == ["12"]
    assert look_alike.downloads() == TOKENIZER
    look_alike.asked.clear()
    python(look_alike, home, "print(BlenderbotSmallForConditionalGeneration.from_pretrained(name).num_parameters())")
    assert look_alike.downloads() == ["model.safetensors"]


def test_the_first_chat_downloads_and_shows_its_progress(look_alike: LookAlike, home: Path) -> None:
    chat = ("chat", "--model", NAME, "--greedy", "--set", "max_length=9", "hello")
    done = run(look_alike, home, *chat)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert f"Fetching {len(TOKENIZER) + 1} files" in done.stderr
    assert "100%" in done.stderr
    again = run(
        look_alike, home, "chat", "--model", NAME, "--greedy", "--set", "max_length=9", "hello", HF_HUB_OFFLINE="1"
    )
    assert (again.stdout, again.stderr) == (done.stdout, "")
    quiet = run(look_alike, home, "fetch", NAME, "--force-download", HF_HUB_DISABLE_PROGRESS_BARS="1")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_the_readmes_command(look_alike: LookAlike, home: Path) -> None:
    """Of the two under "The real 90M" the second, as it stands there, and a line through a pipe."""
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## The real 90M")[2]
    install, command = section.split("```sh\n")[1].split("```")[0].splitlines()
    assert install == "pip install '.[hub]'"
    program, *words = command.split()
    assert program == "npblender"
    done = run(look_alike, home, *words, given="hello\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "model.safetensors" in look_alike.downloads()


def test_large_files_come_from_where_the_hub_redirects_to(look_alike: LookAlike, home: Path) -> None:
    """With what the repository's server says of them, and without the token."""
    look_alike.token = "hf_secret"
    done = run(look_alike, home, "fetch", NAME, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    stored = [asked for asked in look_alike.asked if asked.server == "store"]
    assert {asked.path for asked in stored} == {"/blobs/model.safetensors"}
    assert {asked.token for asked in stored} == {None}
    assert {asked.token for asked in look_alike.asked_of_the_model()} == {"Bearer hf_secret"}


def test_an_earlier_name_of_the_model_leads_to_it(look_alike: LookAlike, home: Path) -> None:
    done = run(look_alike, home, "fetch", EARLIER_NAME)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip(), "model.safetensors").read_bytes() == look_alike.files["model.safetensors"]


def test_a_connection_that_is_cut_is_resumed(look_alike: LookAlike, home: Path) -> None:
    look_alike.files["model.safetensors"] = bytes(range(256)) * (3 << 15)  # 24 MiB: the library writes ten at a time
    look_alike.cut.add("model.safetensors")
    done = run(look_alike, home, "fetch", NAME)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip(), "model.safetensors").read_bytes() == look_alike.files["model.safetensors"]
    ranges = [asked.range for asked in look_alike.asked if asked.server == "store" and asked.command == "GET"]
    assert ranges[0] is None
    assert ranges[1:] == ["bytes=10485760-"], "half of it came; what was written is not asked for again"


@pytest.mark.parametrize(("name", "sum_"), [("model.safetensors", "0" * 64), ("vocab.json", "0" * 40)])
def test_a_wrong_checksum_is_noticed(look_alike: LookAlike, home: Path, name: str, sum_: str) -> None:
    look_alike.sums[name] = sum_
    done = run(look_alike, home, "fetch", NAME)
    assert done.returncode == 2
    assert f"{name} was downloaded damaged" in done.stderr
    assert not list(home.rglob(sum_))
    assert run(look_alike, home, "fetch", NAME, HF_HUB_OFFLINE="1").returncode == (2 if name != "vocab.json" else 0)
    look_alike.sums.clear()
    assert run(look_alike, home, "fetch", NAME).returncode == 0


@pytest.mark.slow
def test_refusals(look_alike: LookAlike, home: Path) -> None:
    look_alike.files["empty/config.json"] = b"{}"
    for words, said in (
        (["fetch", "someone/else"], "no such model on the Hub"),
        (["fetch", NAME, "--revision", "gone"], "no such revision"),
        (["info", "--model", "someone/else"], "no such model on the Hub"),
    ):
        done = run(look_alike, home, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    look_alike.token = "hf_secret"
    assert "HF_TOKEN is missing" in run(look_alike, home, "fetch", NAME).stderr
    assert "HF_TOKEN is missing" in run(look_alike, home, "fetch", NAME, HF_TOKEN="hf_other").stderr
    assert run(look_alike, home, "fetch", NAME, HF_TOKEN="hf_secret").returncode == 0


def test_what_needs_its_owners_leave_says_so(look_alike: LookAlike, home: Path) -> None:
    look_alike.gated = True
    done = run(look_alike, home, "fetch", NAME)
    assert done.returncode == 2
    assert "its owner must admit you first" in done.stderr


def test_a_hub_that_is_out_of_order_is_an_error(look_alike: LookAlike, home: Path) -> None:
    look_alike.broken = True
    done = run(look_alike, home, "fetch", NAME)
    assert done.returncode == 2
    assert "could not be downloaded" in done.stderr


@pytest.mark.slow
def test_without_a_connection_the_cache_is_taken(look_alike: LookAlike, home: Path) -> None:
    folder = run(look_alike, home, "fetch", NAME).stdout
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = run(look_alike, home, "fetch", NAME, **dead)
    assert (done.returncode, done.stdout) == (0, folder), done.stderr
    done = run(look_alike, home, "fetch", "someone/other", **dead)
    assert done.returncode == 2
    assert "could not be downloaded" in done.stderr
    assert run(look_alike, home, "fetch", NAME, "--force-download", **dead).returncode == 2


OPTIONS = """
from pathlib import Path
from npblender.common.hub import fetch, Place
config = BlenderbotSmallConfig.from_pretrained(name, revision="v1", cache_dir="CACHE", token="hf_secret")
settings = GenerationConfig.from_pretrained(name, subfolder="inside", cache_dir="CACHE", token="hf_secret")
tokenizer = BlenderbotSmallTokenizer.from_pretrained(name, cache_dir="CACHE", token="hf_secret")
model = BlenderbotSmallForConditionalGeneration.from_pretrained(
    name, subfolder="inside", revision="v1", cache_dir="CACHE", token="hf_secret")
again = AutoModelForSeq2SeqLM.from_pretrained(
    name, subfolder="inside", revision="v1", cache_dir="CACHE", local_files_only=True)
stored = [path.name for path in Path("CACHE").glob("models--*")]
print(config.extra["max_length"], len(tokenizer), model.config.vocab_size, *stored)
"""


@pytest.mark.slow
def test_options_of_from_pretrained_reach_the_library(look_alike: LookAlike, home: Path, tmp_path: Path) -> None:
    look_alike.token = "hf_secret"
    code = OPTIONS.replace("CACHE", str(tmp_path / "cache"))
    length, *sizes, stored = python(look_alike, home, code)
    assert (length, sizes[0]) == ("33", sizes[1])
    assert stored == STORED
    assert not (home / "hub").exists()
    snapshots = tmp_path / "cache" / stored / "snapshots"
    assert sorted(path.name for path in snapshots.iterdir()) == [COMMIT, TAGGED]
    assert (snapshots / TAGGED / "inside" / "model.safetensors").is_file()
    assert not (snapshots / TAGGED / "model.safetensors").exists()
    assert {asked.token for asked in look_alike.asked_of_the_model()} == {"Bearer hf_secret"}
    before = len(look_alike.asked)
    read = "AutoTokenizer.from_pretrained(name, cache_dir='CACHE', token='hf_secret'"
    forced = f"{read}); {read}, force_download=True)"  # the second in one process
    python(look_alike, home, forced.replace("CACHE", str(tmp_path / "cache")))
    fetched = [asked.path for asked in look_alike.asked[before:] if asked.command == "GET"]
    assert sum(path.endswith("vocab.json") for path in fetched) == 1, "once, though two things are read"
