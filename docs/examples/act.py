"""Acts on what scribed hears: each text once, in order, and only where nothing speaks against it.

    python act.py HOST PORT scribed/r7/mic MARK    (needs paho-mqtt 2)

MARK is a file that keeps the highest `seq` acted on, over a restart of this program too. It is
written before the deed: what a crash comes between is not done at all.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT, BASE, MARK = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])


def hear(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    try:
        said = json.loads(message.payload)
        seq, text, caution = int(said["seq"]), str(said["text"]), said["caution"]
        expires = datetime.fromisoformat(said["expires_at"].replace("Z", "+00:00")).timestamp()
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        print("not understood, and so not done:", repr(exc), file=sys.stderr)
        return
    highest = int(MARK.read_text()) if MARK.exists() else 0
    if seq > highest and caution == [] and time.time() < expires and not message.retain:
        MARK.with_suffix(".new").write_text(str(seq))
        MARK.with_suffix(".new").replace(MARK)
        print(seq, text, flush=True)  # your robot's part


name = "act-" + BASE.replace("/", "-")
client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/transcript", qos=1)
client.on_subscribe = lambda *_: print("it listens", file=sys.stderr, flush=True)
client.on_message = hear
client.reconnect_delay_set(1, 5)
session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # as paho has it
session.SessionExpiryInterval = 60  # what is said while the connection is lost comes after it
client.connect(HOST, PORT, clean_start=False, properties=session)
client.loop_forever()
