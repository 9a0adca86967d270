"""What is valid, and yet not what its author may have meant: keys that have no effect. Pure."""

from __future__ import annotations

from scribed.config import Config, Listen, Mqtt


def remarks(config: Config) -> list[str]:
    """`section.key: what is odd, what to do`, a line for each."""
    found = []
    commands, listen = config.mqtt.commands, config.listen
    if listen.mode == "on_request" and "listen" not in commands:
        found.append(
            'listen.mode: "on_request", and mqtt.commands does not allow listen: '
            "nobody can ask for anything to be heard; allow it there"
        )
    if listen.mode == "always" and listen.window_s != Listen().window_s:
        found.append('listen.window_s: has no effect without listen.mode = "on_request"')
    for section, command in (("echo", "robot_speaking"), ("motion", "robot_moving")):
        changed = getattr(config, section) != type(getattr(config, section))()
        if changed and command not in commands:
            found.append(
                f"{section}.mode: has no effect: mqtt.commands does not allow {command}; "
                "allow it there"
            )
    if config.echo.mode == "drop" and config.listen.mode == "on_request":
        lost_s = config.echo.tail_ms / 1000
        if lost_s >= listen.window_s:
            found.append(
                f"echo.tail_ms: {config.echo.tail_ms} outlasts listen.window_s = "
                f"{listen.window_s}: a window that opens when the robot has spoken is deaf"
            )
    return found + _unheard_words(config) + _fits(config.mqtt)


def _unheard_words(config: Config) -> list[str]:
    """When fast words are not heard by intention."""
    if not config.transcript.fast_words:
        return []
    key, commands, found = "transcript.fast_words", config.mqtt.commands, []
    if config.echo.mode == "drop" and "robot_speaking" in commands:
        found.append(
            f'{key}: are not heard while the robot speaks: echo.mode = "drop" makes it deaf then; '
            'with echo cancellation "barge_in" does not'
        )
    if config.motion.mode == "drop" and "robot_moving" in commands:
        found.append(f'{key}: are not heard while the robot moves: motion.mode = "drop"')
    if config.listen.mode == "on_request":
        found.append(f'{key}: are heard in a window of cmd/listen only: listen.mode = "on_request"')
    return found


def _fits(mqtt: Mqtt) -> list[str]:
    """What is odd about how other stacks are spoken to."""
    found = []
    if mqtt.discovery_prefix != Mqtt().discovery_prefix and mqtt.home_assistant == "off":
        found.append('mqtt.discovery_prefix: has no effect with mqtt.home_assistant = "off"')
    if mqtt.hermes_site and not mqtt.hermes:
        found.append("mqtt.hermes_site: has no effect without mqtt.hermes = true")
    if mqtt.hermes and "robot_speaking" not in mqtt.commands:
        found.append(
            "mqtt.hermes: mqtt.commands does not allow robot_speaking: toggleOff for ttsSay and "
            "playAudio is refused, and the robot may hear itself; allow it there"
        )
    return found
