"""The kinds of lines in the journal: their MESSAGE_IDs and fields. Pure.

A line says which it is: `logger.info("…", extra=kinds.LINK_UP(link="connected", provider=name))`.
What it means and what to do is in systemd/scribed.catalog, which `journalctl -x` shows. An id is
never used for anything else; a kind may get further fields, and loses none.
"""

from __future__ import annotations

FIELDS = {
    "SCRIBED_EVENT": "the kind of the line, as in this table's page",
    "SCRIBED_UTTERANCE_ID": "as on the topics: joins all that is said about one utterance",
    "SCRIBED_SEQ": "its number",
    "SCRIBED_LATENCY_MS": "from the end of speech to when its text was written to the broker",
    "SCRIBED_ONSET_TO_GATE_MS": "from its first voiced frame to when the gate opened",
    "SCRIBED_GATE_TO_FIRST_BYTE_MS": "from then to when its first audio was sent, on the "
    "connection that was answered",
    "SCRIBED_END_TO_COMMIT_MS": "from its last voiced frame to when the commit was sent",
    "SCRIBED_COMMIT_TO_TEXT_MS": "from then to its text",
    "SCRIBED_TEXT_TO_PUBLISH_MS": "from then to when it was written to the broker",
    "SCRIBED_TOPIC": "the topic below the base topic",
    "SCRIBED_OUTCOME": "how it ended without a text, as on `ended`",
    "SCRIBED_REASON": "why it was closed, as `final_reason`; why something else is as it is",
    "SCRIBED_TRIGGER": "what let it be heard, as on `transcript`",
    "SCRIBED_AUDIO_MS": "how much audio it has",
    "SCRIBED_ATTEMPT": "the number of the connection on which it was sent",
    "SCRIBED_ALERT": "the code of an alert, as in `alert/<code>`",
    "SCRIBED_SEVERITY": "of an alert: warning or error",
    "SCRIBED_REMEDY": "of an alert: what to do",
    "SCRIBED_ERROR": "what is wrong, in words",
    "SCRIBED_REPEATED": "how often the same was to be said since it was said last, this time "
    "included; only where that is more than once",
    "SCRIBED_DEVICE": "the microphone, or the file",
    "SCRIBED_RATE": "its rate in Hz",
    "SCRIBED_CHANNELS": "how many channels it has",
    "SCRIBED_BUFFER_MS": "how much sound its buffer holds",
    "SCRIBED_LOST_MS": "how much sound was lost",
    "SCRIBED_LINK": "the state of the link, as in `state`",
    "SCRIBED_PROVIDER": "the speech service",
    "SCRIBED_WAIT_S": "how long until the next try",
    "SCRIBED_BROKER": "host and port of the broker",
    "SCRIBED_UTTERANCES": "how many utterances it is about",
    "SCRIBED_FINALS": "how many finals and ends it is about",
    "SCRIBED_PATH": "the file or directory",
    "SCRIBED_WORKER": "the thread",
    "SCRIBED_KEYS": "the keys of the configuration, or the credentials, that it is about",
    "SCRIBED_CRASHES": "runs in a row that ended soon and without order",
    "SCRIBED_EXIT_STATUS": "the exit status of the process",
    "SCRIBED_VERSION": "of scribed",
}
"""All fields of scribed's own, and what they say."""


class Kind:
    """A kind of line. `names` are its fields without `SCRIBED_`, of which a call gives each; what
    is None is not known, and left out. `ends` is the kind of trouble that is over with it."""

    __slots__ = ("ends", "event", "fields", "id")

    def __init__(
        self, event: str, id: str, names: str = "", *, ends: tuple[Kind, ...] = ()
    ) -> None:
        self.event, self.id = event, id
        self.fields = tuple(f"SCRIBED_{name.upper()}" for name in names.split())
        self.ends = ends

    def __call__(self, **fields: object) -> dict[str, object]:
        """The `extra` of a log line."""
        known = {f"SCRIBED_{n.upper()}": v for n, v in fields.items() if v is not None}
        return {"MESSAGE_ID": self.id, "SCRIBED_EVENT": self.event, **known}


# The daemon

STARTED = Kind("started", "9c9b2a56ef804b208d4ee6769f382559", "version")
RECOVERED = Kind("recovered", "b5438c88ff714f08bdf3c0bc947f8239", "utterances finals")
LEFTOVER_DAMAGED = Kind("leftover_damaged", "bbee7bc829d74645a06eb86df6948018", "error")
STOPPING = Kind("stopping", "e2a8f26f33c441a09f759ae868e22b5f", "reason")
STOPPED = Kind("stopped", "abe1b7dc5f96437692814671f39ab238")
UNANSWERED_KEPT = Kind("unanswered_kept", "71ed083742404646a40bfa5b704138b1", "utterances")
UNANSWERED_LOST = Kind("unanswered_lost", "3ba1754897aa475aaed8c83df2d84160", "utterances")
UNPUBLISHED_KEPT = Kind("unpublished_kept", "b93c62f38de14d3583f8ba3b75ec9e86", "finals error")
UNPUBLISHED_LOST = Kind("unpublished_lost", "48a5dd3dee1042448c1cec56a08b4fa8", "finals error")
ONLY_IN_MEMORY = Kind("only_in_memory", "90ecb06fdae74635a5eccc10e25ebf0c", "utterances")
INPUT_FAILED = Kind("input_failed", "9f47579f3b5748a99f279baf8513fa89", "error")
BUG = Kind("bug", "82a59de933314ea2905f2848bb5af084", "worker error")
NO_HEARTBEAT = Kind("no_heartbeat", "c56151e726b3480f96add22eb665e45f", "worker")
RELOAD_REFUSED = Kind("reload_refused", "c08b7eaa742f439d997d30a2698a2597", "path error")
RELOADED = Kind("reloaded", "dba95f8e40df4926a81134cbd59f4bb6", "keys")
RESTART_NEEDED = Kind("restart_needed", "f3e7190008824ac6877e9b38d52be8ff", "keys")
CREDENTIAL_KEPT = Kind("credential_kept", "91e76eccf0594b0abd5e8cbcf17673d2", "keys")
CONFIG_REMARK = Kind("config_remark", "59e70186a66340d6b788e2f8c19ad335", "error")
CONFIG_FELL_BACK = Kind("config_fell_back", "8c5e720eb17a47d08554f16c7d7ee7b8", "path error alert")
CONFIG_INVALID = Kind("config_invalid", "2d384d1e71f24669a3059492b3620a78", "error exit_status")
START_FAILED = Kind("start_failed", "4e8efcff2b79475b89b13fc1e80fa318", "error exit_status")
CRASH_LOOP = Kind("crash_loop", "f1028e75836741119553e235026dbd01", "crashes wait_s")
MUTED = Kind("muted", "ad174e09bc80480a812ee7f3d268fdea", "reason")
UNMUTED = Kind("unmuted", "45c7e6f09a6e4be8ba64e17f15707e9f")
ALERT = Kind("alert", "cab3698147964666ac2bdb09a62c3175", "alert severity error remedy")
ALERT_OVER = Kind("alert_over", "569348f419da4242bc48a07f892c1bb5", "alert", ends=(ALERT,))
NO_CONTROL_SOCKET = Kind("no_control_socket", "b41f896a8d644ece9cdf90fe67dbf65c", "path error")
CLIENT_UNHEARD = Kind("client_unheard", "0f5f5778fcac4b5981f4731f4c274519", "error")

METRICS_UNSERVED = Kind("metrics_unserved", "f6c2c8d9801a44d89aad8b445effe64e", "path error")
METRICS_SERVED = Kind(
    "metrics_served", "ca8ca8c146a6447880fd76154f6da92b", "path", ends=(METRICS_UNSERVED,)
)

# Capture

DEVICE_CHOSEN = Kind("device_chosen", "6625f3f518864d3b97681d1596da2103", "device")
DEVICE_NUMBERED = Kind("device_numbered", "dfd7ca14ebe94512b87b2075d7cfc052", "device")
GATE_STAGES = Kind("gate_stages", "e4a55d2abf9342988da1f7faa047749b", "error")
SMALL_BUFFER = Kind("small_buffer", "fc7ec853c435478f89e4cf33ed9f39ce", "device buffer_ms")
DEVICE_LOST = Kind("device_lost", "bd7c414f2bee4e6db0c8326fd377ccb1", "device error")
NO_DEVICE = Kind("no_device", "0771ed63426d48c4934a351b80bf20e1", "error")
DEVICE_HEARS = Kind(
    "device_hears",
    "498fdde9da304ead9775a7ccfef35981",
    "device rate channels",
    ends=(
        DEVICE_LOST,
        NO_DEVICE,
        MUTED,
    ),
)
SOUND_BAD = Kind("sound_bad", "f62c9ace4b5e42188b7ca54d1245f5e8", "device error")
SOUND_GOOD = Kind("sound_good", "1f713b839bba4f0abcf041452824dbfb", "device", ends=(SOUND_BAD,))
SOUND_LOST = Kind("sound_lost", "a8642468da8947a3adbb572cc3e8dc31", "lost_ms reason")
SPEECH_DROPPED = Kind("speech_dropped", "7ebe27ab27284739ac53a6d0db415280")
READER_STUCK = Kind("reader_stuck", "8d6d7d708eac44f48f76f07215f6611b", "worker")
SOURCE_DAMAGED = Kind("source_damaged", "cc6f261a97374f40af08a6793602b878", "error")

# Uplink

LINK_DOWN = Kind("link_down", "ee2e92800ea34b2ea659f00d49ae2f32", "link error wait_s utterances")
LINK_UP = Kind("link_up", "a0df1df127e94f1c9dffbf160edc420e", "link provider", ends=(LINK_DOWN,))
ROTATION_FAILED = Kind("rotation_failed", "673d5c0915f4488c9a4481b1d20e67a4", "error wait_s")
SERVICE_WARNED = Kind("service_warned", "36ee6f80f5e7440c9f467374cd200d58", "error")
OLD_SPEECH_YIELDS = Kind("old_speech_yields", "1db327b4870b4059ba83c583e01f5d3e")
BUDGET_REACHED = Kind("budget_reached", "ae704f5eb08d4db69bc73f354b63042b", "error")
GIVEN_UP = Kind("given_up", "5c08b1e2337b471eaf4744994af6a2f0", "utterance_id seq attempt")
LINK_RENEWED = Kind("link_renewed", "7835e251daba49008e2b308635f37325")

# Delivery

BROKER_DOWN = Kind("broker_down", "af0ac332839a48d7824a4fa63b3a81af", "broker error finals")
BROKER_UP = Kind("broker_up", "ebcbb48e94944979919344872ba06a0f", "broker", ends=(BROKER_DOWN,))
BROKER_REFUSES = Kind("broker_refuses", "450b0050aa8c42a29aab1489958a3fc4", "topic error finals")
FINALS_DROPPED = Kind("finals_dropped", "0345f46407cd49dd93f46df4908bc149", "error finals")
PUBLISHED = Kind(
    "published",
    "3d38d79632dc45a898ea1ca930675ee1",
    "utterance_id seq topic latency_ms onset_to_gate_ms gate_to_first_byte_ms "
    "end_to_commit_ms commit_to_text_ms text_to_publish_ms attempt",
)
ENDED = Kind("ended", "0f616d920e424a70894492862c8b9b01", "utterance_id seq outcome")

# Store

SET_ASIDE = Kind("set_aside", "97fca82464dd4e98895487d73a5016c8", "path error")
NOT_SET_ASIDE = Kind("not_set_aside", "67f148e53b7f41b9a51853658998ed7a", "path error")
QUARANTINE_LEFT = Kind("quarantine_left", "c1facd85061d41c892ddcf6ad3df6b2b", "path")
LEDGER_BAD = Kind("ledger_bad", "6550c5b1f174436fb062fd0d9a9ec79b", "error")
LEDGER_GOOD = Kind("ledger_good", "a9ca9bc0ff3f49c2ba35a3fb40d9653f", ends=(LEDGER_BAD,))
FINALS_LOST = Kind("finals_lost", "3984525ef91245b1b466379afdf81c54", "finals error")
NOT_RESTATED = Kind("not_restated", "64742bd8b658455aaf946ce9c4ad3e77", "finals error")
STATE_UNWRITABLE = Kind("state_unwritable", "c6152c43ab4048c7a9f3c3aadda0fddf", "error")
RUNTIME_UNUSABLE = Kind("runtime_unusable", "811eb1d7d14043799cd242d3d61c4710", "path error")
AUDIO_UNWRITABLE = Kind("audio_unwritable", "2455a20d4764490d9114d71067f69cf8", "path error")
AUDIO_UNREADABLE = Kind(
    "audio_unreadable", "aa2089908006413b96490accbe463346", "utterance_id error"
)
RECORDED = Kind("recorded", "80aee4be3fcc47349c24a5bb96efab4c", "path reason audio_ms")
NOT_RECORDED = Kind("not_recorded", "a383b1bfe314444c91dacdd3683fa2eb", "path error")

# The steps of one utterance, told with log.level = "debug"

UTTERANCE_OPENED = Kind(
    "utterance_opened",
    "77b5b7ecfd9440748cf29eb0e0fe4947",
    "utterance_id seq trigger onset_to_gate_ms",
)
UTTERANCE_CLOSED = Kind(
    "utterance_closed", "4b57001e5d534962968f82e841e607da", "utterance_id seq reason audio_ms"
)
UTTERANCE_SENT = Kind(
    "utterance_sent", "387790f3fd114b6794bc088949aef9ce", "utterance_id seq attempt"
)
UTTERANCE_ANSWERED = Kind(
    "utterance_answered",
    "683a7f144bce4a3eb4fadc4d96152566",
    "utterance_id seq attempt commit_to_text_ms",
)
UTTERANCE_REFUSED = Kind(
    "utterance_refused", "146245dcd5e143e6a8175265683bbf03", "utterance_id seq attempt error"
)
UTTERANCE_LATE = Kind("utterance_late", "571927783e1c48afaa004c94c1a6c6d2", "utterance_id seq")
UTTERANCE_PURGED = Kind("utterance_purged", "027aa20687fd47248749aea45bc97fa6", "utterance_id seq")


KINDS = {kind.event: kind for kind in list(globals().values()) if isinstance(kind, Kind)}
"""All of them."""
