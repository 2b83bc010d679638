"""A refusal names its reasons, and says what can be done about every one."""

import pytest

from data.errors import ExitCode
from data.volumes.reasons import MENDED, SHOULD, Reason, VolumeError, refuse_unless_accepted


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_accepted_or_has_advice_and_not_both(reason: Reason) -> None:
    assert (reason in MENDED) != (reason in SHOULD)
    error = VolumeError("abcd", [reason], "so it is")
    assert error.code == ExitCode.BAD_DATA
    assert reason.value in error.what
    assert (f"accept: [{reason}]" in error.todo) == (reason in MENDED)
    assert error.todo == (SHOULD.get(reason) or error.todo)


def test_all_reasons_are_named_at_once_and_only_those_not_accepted() -> None:
    problems = {Reason.GANTRY_TILT: "tilted", Reason.UNEVEN_SPACING: "uneven"}
    with pytest.raises(VolumeError) as caught:
        refuse_unless_accepted("abcd", problems, [])
    assert caught.value.reasons == (Reason.GANTRY_TILT, Reason.UNEVEN_SPACING)
    assert "accept: [gantry_tilt, uneven_spacing]" in caught.value.todo
    with pytest.raises(VolumeError) as caught:
        refuse_unless_accepted("abcd", problems, [Reason.GANTRY_TILT])
    assert caught.value.reasons == (Reason.UNEVEN_SPACING,)
    notes = refuse_unless_accepted("abcd", problems, list(problems))
    assert [note.split(":")[0] for note in notes] == ["gantry_tilt", "uneven_spacing"]


def test_what_cannot_be_mended_is_refused_even_when_accepted() -> None:
    with pytest.raises(VolumeError):
        refuse_unless_accepted("abcd", {Reason.TRUNCATED: "short"}, list(Reason))
    error = VolumeError("abcd", [Reason.GANTRY_TILT, Reason.TRUNCATED], "both")
    assert "accept" not in error.todo
