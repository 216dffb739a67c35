"""Where faders of merges are predicted only, the page says so, and what measures one."""

import pytest
from streamlit.testing.v1 import AppTest


def said(external: bool, programs: tuple[str, ...]) -> None:
    from dashboard.views.merges.explore import not_live
    from engine.spec.fidelity import PRESETS
    from engine.spec.merge import MergeSpec
    from engine.spec.study import StudySpec
    from store.studies import Study

    models = {"base": "base", "experts": {"code": "expert"}} if external else {}
    merge = MergeSpec(**models, evaluators={name: {f"{name} ms": "lower"} for name in programs})
    spec = StudySpec(name="M", corpus="c", fidelity=None if external else PRESETS["demo"], merge=merge).to_dict()
    not_live(Study("m", "M", spec, ["code"], [], None, None, "active", None, 0.0), merge)


@pytest.mark.parametrize(
    ("external", "programs", "words"),
    [(True, ("speed", "size"), "speed, size"), (True, (), "measures this one."), (False, (), None)],
)
def test_faders_that_nothing_measures_say_so(external, programs, words):
    shown = AppTest.from_function(said, args=(external, programs)).run(timeout=90)
    assert not shown.exception
    captions = [one.value for one in shown.caption]
    assert len(captions) == (words is not None)
    for caption in captions:
        assert "Predicted, not measured" in caption and words in caption and ("programs" in caption) is bool(programs)
