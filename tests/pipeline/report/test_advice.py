"""An alarm that every round raises is told once, with what to do about it."""

from pipeline.report.advice import OTHERWISE, advice, alarms_of
from stages.select.wording import UNTOLD, limit_said, of_few_groups


def test_an_alarm_is_told_once_for_all_rounds_that_raised_it_and_the_newest_stand_last() -> None:
    found = alarms_of([(0, ["few", "gone"]), (1, ["few"]), (2, ["few", "new"])])
    assert found == [("round 0", "gone"), ("rounds 0, 1, 2", "few"), ("round 2", "new")]
    assert alarms_of([(0, []), (1, [])]) == []


def test_labels_of_few_patients_have_advice_of_their_own() -> None:
    assert "other patients or slides" in advice(of_few_groups("patient", 2, 0.9))
    assert "a second patch of each class" in advice(UNTOLD)
    assert advice("something else") == OTHERWISE


def test_a_temperature_at_either_limit_has_its_own() -> None:
    low, high = (advice(limit_said(0.05, lowest, validated=True)) for lowest in (True, False))
    assert "were told right" in low
    assert "says little" in high


def test_what_a_rule_remarks_is_not_taken_for_a_class_that_takes_over() -> None:
    unproven = advice("class tumour: no threshold proves a precision of 95%, nothing of it is kept; ask for less")
    assert "given labels alone" in unproven
    assert unproven != advice("class tumour: 35 % of the kept patches, 10 % of the labels")
    assert "teacher.snapshots" in advice("agreement: no second opinion in round 0, so confidence alone decided")
