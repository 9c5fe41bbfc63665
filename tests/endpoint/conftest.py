"""Endpoints of these tests: impatient."""

import pytest
from endpoint.pieces import KEY, one

from fleming_nemo.endpoint import Budget, Endpoint, Key, Panel, serve


@pytest.fixture
def ask_all(tmp_path):
    """`ask_all(server, work, **fields of Endpoint)` -> (results, panel)."""

    def asked(server, work, budget=None, one=one, folder=tmp_path / "answers", **changes):
        values = {"concurrency": 4, "timeout_s": 60, "attempts": 4, "pause_s": 0.01, "key": Key(KEY), **changes}
        panel = Panel()
        with panel:
            endpoint = Endpoint(server if isinstance(server, str) else server.url, "tiny", **values)
            return list(serve(endpoint, folder, budget or Budget(), work, one, panel)), panel

    return asked
