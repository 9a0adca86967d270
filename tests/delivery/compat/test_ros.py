"""ROS: the layout of `hri_msgs/LiveSpeech`."""

from __future__ import annotations

import json

import pytest

from scribed.delivery.compat import ros
from scribed.model import Answer
from tests.delivery.compat.golden import frozen, goldens, transcript


@pytest.mark.parametrize("name", ["ros_final", "ros_partial"])
def test_it_has_the_layout_that_a_bridge_takes(name: str) -> None:
    assert goldens()[name] == frozen(name)


def test_what_the_service_does_not_know_counts_as_trusted() -> None:
    assert json.loads(ros.live_speech(transcript(Answer("Stop."))))["confidence"] == 1.0
