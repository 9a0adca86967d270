"""A mosquitto that answers a subscription with a no: by its ACL file it grants each, and is silent.

Its own plugin for rights does, as EMQX and HiveMQ do.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from scribed.demo.broker import Broker, stable_port

_KINDS = ("subscribePattern", "publishClientSend", "publishClientReceive")


def choosy(directory: Path, *topics: str) -> Broker:
    """Anybody may do anything with `topics`, and nobody anything else."""
    plugin = next(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("this mosquitto has no plugin for dynamic security")
    rights = [{"acltype": kind, "topic": t, "allow": True} for kind in _KINDS for t in topics]
    said = {
        "defaultACLAccess": dict.fromkeys(("subscribe", *_KINDS[1:]), False),
        "roles": [{"rolename": "all", "acls": rights}],
        "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
        "clients": [],
        "anonymousGroup": "all",
    }
    file = directory / "rights.json"
    file.write_text(json.dumps(said))
    port = stable_port()
    lines = [
        f"user {getpass.getuser()}",
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"plugin {plugin}",
        f"plugin_opt_config_file {file}",
    ]
    return Broker(directory, port=port, configuration="\n".join(lines))
