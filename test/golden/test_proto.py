"""The schema is the public interface's, and the comparison sees it when it is not."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import proto_check  # noqa: E402


def test_against_the_table():
    assert proto_check.against_tsv() == []


def test_against_the_client():
    assert proto_check.against_client() == []


def find(files, name):
    return next(m for f in files for m in f.message_type if m.name == name and f.package == "qdrant")


@pytest.mark.parametrize("damage", ["number", "type", "label", "oneof", "packed", "missing", "enum"])
def test_a_planted_difference_is_seen(damage):
    files = proto_check.our_files()
    point = find(files, "PointId")
    dense = find(files, "DenseVector").field[0]
    if damage == "number":
        find(files, "SearchPoints").field[0].number = 99
    elif damage == "type":
        dense.type = proto_check.F.TYPE_DOUBLE
    elif damage == "label":
        dense.label = proto_check.F.LABEL_OPTIONAL
    elif damage == "oneof":
        point.oneof_decl[0].name = "other"
    elif damage == "packed":
        dense.options.packed = False
    elif damage == "missing":
        del point.field[1]
    else:
        next(e for f in files for e in f.enum_type if e.name == "Distance").value[1].number = 9
    assert len(proto_check.against_tsv(proto_check.Schema(files))) > 0
