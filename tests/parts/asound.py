"""ALSA configurations for tests: real libasound, devices without hardware that obey switches."""

from __future__ import annotations

import subprocess
from pathlib import Path

SYSTEM_CONFIG = "/usr/share/alsa/alsa.conf"
_SOURCE = Path(__file__).with_name("fault_pcm.c")


def compile_fault(directory: Path) -> Path:
    """Compile `fault_pcm.c` into `directory`; the module for `Asound(fault_module=…)`."""
    module = directory / "libasound_module_pcm_fault.so"
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-DPIC",
        "-o",
        str(module),
    ]
    subprocess.run([*command, str(_SOURCE), "-lasound"], check=True)
    return module


class Fault:
    """The switches and reports of one device that misbehaves on request; see `fault_pcm.c`."""

    def __init__(self, name: str, control: Path) -> None:
        self.name, self.control = name, control

    def on(self, switch: str) -> None:
        """Set one of the switches of `fault_pcm.c`."""
        (self.control / switch).touch()

    def off(self, switch: str) -> None:
        (self.control / switch).unlink(missing_ok=True)

    def is_on(self, switch: str) -> bool:
        """Whether it is set; "overrun" and "suspended" go off when they have happened."""
        return (self.control / switch).exists()

    @property
    def is_open(self) -> bool:
        """Whether some process has the device open."""
        return (self.control / "open").exists()

    @property
    def delivered(self) -> int:
        """Frames handed out since the device was opened last."""
        path = self.control / "delivered"
        return int.from_bytes(path.read_bytes(), "little") if path.exists() else 0


class Asound:
    """An asound.conf in `directory`, written anew by each method that adds a device."""

    def __init__(self, directory: Path, fault_module: Path | None = None) -> None:
        self._directory = directory
        self.path = directory / "asound.conf"
        self._module = fault_module
        self._cards: dict[str, str] = {}  # by id: what the card's device is made of
        self._text = f'pcm_type.fault {{ lib "{fault_module}" }}\n' if fault_module else ""
        self._write()

    def environment(self) -> dict[str, str]:
        """What a process needs to see these devices, and the system's definitions."""
        return {"ALSA_CONFIG_PATH": f"{SYSTEM_CONFIG}:{self.path}"}

    def add(self, text: str) -> None:
        """Add definitions in asound.conf's own language."""
        self._text += text + "\n"
        self._write()

    def file(self, name: str, raw: Path, *, rate: int = 16_000, channels: int = 1) -> None:
        """A device that reads raw s16le from `raw`, then silence, as fast as it is asked."""
        self.add(
            f'pcm.{name} {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{raw}" '
            f'format "raw" hint {{ show on description "{rate} Hz, {channels} channels" }} }}'
        )

    def fault(self, name: str, **options: object) -> Fault:
        """A paced device with switches; `options` as in `fault_pcm.c`, a list for a choice."""
        device = Fault(name, self._control(name))
        self.add(
            f"pcm.{name} {{ {self._body(device, options)} "
            'hint { show on description "misbehaves on request" } }'
        )
        return device

    def card(self, card: str, *, number: int = 0, **options: object) -> Fault:
        """A card as hardware would be: listed by libasound, opened as hw: and plughw:.

        A second call with another `number` is the same card plugged in anew: its id leads to the
        device that is returned now, whatever becomes of the one before.
        """
        device = Fault(f"hw:CARD={card}", self._control(f"{card}.{number}"))
        self._cards[card] = self._body(device, options)
        self._write()
        return device

    def _control(self, name: str) -> Path:
        control = self._directory / f"{name}.control"
        control.mkdir(exist_ok=True)
        return control

    def _body(self, device: Fault, options: dict[str, object]) -> str:
        if self._module is None:
            raise ValueError("Asound() was made without fault_module")
        words = ["type fault", f'control "{device.control}"']
        for key, value in options.items():
            if isinstance(value, list):
                words.append(f"{key} [ {' '.join(map(str, value))} ]")
            else:
                words.append(
                    f'{key} "{value}"' if isinstance(value, (str, Path)) else f"{key} {value}"
                )
        return " ".join(words)

    def _write(self) -> None:
        text = self._text
        if self._cards:
            hints = " ".join(
                f'"{kind}:CARD={card},DEV=0|DESCfor tests|IOIDInput"'
                for card in self._cards
                for kind in ("hw", "plughw", "sysdefault")
            )
            text += f"namehint.pcm [ {hints} ]\n{_CARD_PCMS}"
            for card, body in self._cards.items():
                text += f"pcm.card_{card} {{ {body} }}\n"
        # A new inode: libasound reads a file again where inode or second of change differ.
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)


_CARD_ARGS = """
    @args [ CARD DEV SUBDEV ]
    @args.CARD { type string }
    @args.DEV { type integer default 0 }
    @args.SUBDEV { type integer default -1 }
"""
_CARD_PCMS = f"""
pcm.!hw {{ {_CARD_ARGS} @func refer name {{ @func concat strings [ "pcm.card_" $CARD ] }} }}
pcm.!plughw {{ {_CARD_ARGS} type plug slave.pcm {{ @func concat strings [ "card_" $CARD ] }} }}
"""
"""Instead of the kernel's: this libasound has cards where the machine has none."""
