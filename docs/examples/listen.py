"""What robot r7 hears, in ten lines: python listen.py HOST PORT    (needs paho-mqtt 2)"""

from __future__ import annotations

import sys

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

client = Client(CallbackAPIVersion.VERSION2)
client.on_connect = lambda client, *_: client.subscribe("scribed/r7/mic/text")
client.on_message = lambda client, _, message: print(message.payload.decode(), flush=True)
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
