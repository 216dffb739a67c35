"""In which scripts and alphabets a text is written."""

import time

import numpy as np
import pytest

from engine.corpus.alphabets import alphabets_of

PROSE = "It was a bright cold day in April, and the clocks were striking thirteen. STANDARD attach cataract 42. " * 40
CODE = "def cos(x: float) -> float:\n    return c0(x) if (x[0] == 1) else -sin(x / 2)  # soon(er) or not\n" * 40
BASES = ["".join(np.random.default_rng(n).choice(list("ACGT"), 60)) for n in range(60)]
MOLECULES = ["CCN(CC)CC", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "[O-]S(=O)(=O)c1ccc(C)cc1"] * 30


def main(text: str) -> str | None:
    """The alphabet of most letters; None where there are too few."""
    return next(iter(alphabets_of([text])), None)


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        (PROSE, "Latin"),
        (CODE, "Latin"),
        ("Straße, naïve, ångström: ﬁn. " * 30, "Latin"),
        ("Был холодный ясный апрельский день, и часы пробили тринадцать. " * 30, "Cyrillic"),
        ("Ἦταν μια φωτεινή κρύα μέρα του Απρίλη. " * 30, "Greek"),
        ("四月间,天气寒冷晴朗,钟敲了十三下。" * 30, "Han"),
        ("四月の晴れた寒い日だった。時計がいっせいに十三時を打っている。" * 30, "Kana"),
        ("이날은 맑고 쌀쌀한 사월의 어느 날이었다. " * 30, "Hangul"),
        ("كان يوما باردا مشرقا من أيام نيسان. " * 30, "Arabic"),
        ("\n".join(BASES), "DNA"),
        ("\n".join(BASES).lower(), "DNA"),
        ("\n".join(f">read {n}\n{one}" for n, one in enumerate(BASES)), "DNA"),
        ("\n".join(" ".join(one[i : i + 3] for i in range(0, 60, 3)) for one in BASES), "DNA"),
        ("\n".join(one.replace("T", "U") for one in BASES), "DNA"),
        ("\n".join(f"{one[:30]}--RYN{one[30:]}-x" for one in BASES), "DNA"),
        ("\n".join(MOLECULES), "SMILES"),
        ("smiles,solubility\n" + "\n".join(f"{one},-1.5" for one in MOLECULES), "SMILES"),
        ("\n".join(["[C][C][N][Branch1][C][C][C]", "[C][=C][C][=C][C][=C][Ring1][=Branch1]"] * 30), "SELFIES"),
        ("\n".join(["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVK"] * 30), "protein"),
        ("\n".join(f"{a} + {a + 7} = {2 * a + 7}; ({a})" for a in range(400)), None),
        ("", None),
        ("... --- ...\n" * 50, None),
    ],
)
def test_each_text_is_of_its_own_alphabet(text, alphabet):
    assert main(text) == alphabet


def test_parts_are_of_letters_and_sum_to_one():
    found = alphabets_of(["ab ab ab" * 10, "где где" * 5, "12345 " * 10])
    assert sum(found.values()) == pytest.approx(1) and list(found) == ["Latin", "Cyrillic"]
    assert found["Latin"] == pytest.approx(60 / 90)


def test_no_text_takes_long():
    """What would be tried again from each of its letters, or in each way that it can be cut."""
    texts = (
        "%12" * 30_000 + "!",
        "(" * 100_000,
        "C" * 99_999 + "!",
        "[C" * 50_000,
        "ACG " * 25_000 + "x",
        "=N" * 50_000,
    )
    began = time.process_time()
    for text in texts:
        alphabets_of([text])
    assert time.process_time() - began < 5
