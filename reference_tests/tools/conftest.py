"""What the tests of several tools take."""

import pytest

from tools.bench import folder


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(folder.PLACE_VARIABLE, str(tmp_path_factory.mktemp("bench")))
        return folder.model_folder("small", None)
