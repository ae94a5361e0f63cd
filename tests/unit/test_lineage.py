"""What a source file means, and what it imports."""

import pytest

from ood import lineage

SOURCE = '''"""A module."""

from package.other import thing


def double(x):
    """Twice x."""
    # by addition
    return x + x
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "other.py").write_text("thing = 1\n")
    (tmp_path / "package" / "apart.py").write_text("far = 1\n")

    def codes(source=SOURCE, **others):
        for cached in (lineage._parsed, lineage._closure):
            cached.cache_clear()
        (tmp_path / "script.py").write_text(source)
        for name, text in others.items():
            (tmp_path / "package" / f"{name}.py").write_text(text)
        return lineage.code(tmp_path, "script.py")

    return codes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# by addition", "# by adding x to itself"),
        ('"""Twice x."""', '"""x and x again."""'),
        ('"""A module."""', '"""The module."""'),
        ("return x + x", "return (\n        x\n        + x\n    )"),
        ("\n\n\ndef", "\ndef"),
    ],
    ids=["comment", "docstring", "module docstring", "layout", "blank lines"],
)
def test_what_a_reader_alone_sees_changes_nothing(folder, old, new):
    before = folder()
    assert SOURCE.count(old) == 1
    assert folder(SOURCE.replace(old, new)) == before


def test_meaning_and_imports_count(folder):
    before = folder()
    assert set(before) == {"script.py", "package/other.py"}
    assert folder(SOURCE.replace("x + x", "2 * x")) != before
    after = folder(other="thing = 2\n")
    assert after["script.py"] == before["script.py"]
    assert after["package/other.py"] != before["package/other.py"]
    assert folder(other="thing = 1\n", apart="far = 2\n") == before


def test_a_string_that_is_no_docstring_counts(folder):
    first = folder("value = 'a'\n")
    assert folder("value = 'b'\n") != first
