"""Compares the schema in proto/ with the public interface: every message, field, number, type, label, oneof, enumeration value and
method of qdrant-grpc-1.20.tsv, both ways, and the descriptors that the qdrant-client package carries.

Ours is written as proto2 with explicit presence; what has to be equal is what goes over the wire. Prints a line a finding; exit
code 1 when there is any.
"""
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
TSV = pathlib.Path(__file__).with_name("qdrant-grpc-1.20.tsv")
F = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    F.TYPE_DOUBLE: "double", F.TYPE_FLOAT: "float", F.TYPE_INT64: "int64", F.TYPE_UINT64: "uint64", F.TYPE_INT32: "int32",
    F.TYPE_UINT32: "uint32", F.TYPE_BOOL: "bool", F.TYPE_STRING: "string", F.TYPE_BYTES: "bytes", F.TYPE_FIXED64: "fixed64",
    F.TYPE_FIXED32: "fixed32", F.TYPE_SINT32: "sint32", F.TYPE_SINT64: "sint64",
}
UNPACKABLE = {F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_MESSAGE}


def our_files():
    with tempfile.NamedTemporaryFile(suffix=".pb") as out:
        protos = sorted((ROOT / "proto").glob("*.proto"))
        subprocess.run(["protoc", f"-I{ROOT / 'proto'}", "-I/usr/include", f"--descriptor_set_out={out.name}",
                        *map(str, protos)], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes()).file


def client_files():
    from qdrant_client.grpc import (collections_pb2, collections_service_pb2, json_with_int_pb2, points_pb2,
                                    points_service_pb2, qdrant_common_pb2, qdrant_pb2, snapshots_service_pb2)
    out = []
    for module in (collections_pb2, collections_service_pb2, json_with_int_pb2, points_pb2, points_service_pb2,
                   qdrant_common_pb2, qdrant_pb2, snapshots_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        out.append(file)
    return out


class Schema:
    """Facts of a set of files, keyed so that two sets can be compared."""

    def __init__(self, files):
        self.fields, self.values, self.methods, self.messages, self.unpacked = {}, {}, {}, set(), set()
        self.maps = {}
        for file in files:
            for message in file.message_type:
                self.find_maps(file.package, message)
        for file in files:
            proto3 = file.syntax == "proto3"
            for message in file.message_type:
                self.add_message(file.package, message, proto3)
            for enum in file.enum_type:
                self.add_enum(file.package, enum)
            for service in file.service:
                for m in service.method:
                    self.methods[f"{file.package}.{service.name}", m.name] = (
                        m.input_type.lstrip("."), m.output_type.lstrip("."), m.client_streaming, m.server_streaming)

    def find_maps(self, scope, message):
        name = f"{scope}.{message.name}"
        for nested in message.nested_type:
            if nested.options.map_entry:
                self.maps[f"{name}.{nested.name}"] = f"map<{self.type_of(nested.field[0])},{self.type_of(nested.field[1])}>"
            else:
                self.find_maps(name, nested)

    @staticmethod
    def type_of(field):
        return SCALARS.get(field.type) or field.type_name.lstrip(".")

    def add_message(self, scope, message, proto3):
        name = f"{scope}.{message.name}"
        self.messages.add(name)
        for field in message.field:
            kind, label = self.type_of(field), "one"
            if field.label == F.LABEL_REPEATED:
                label = "repeated"
                if kind in self.maps:
                    label, kind = "map", self.maps[kind]
                elif field.type not in UNPACKABLE and not proto3 and not field.options.packed:
                    self.unpacked.add((name, field.name))
            oneof = ""
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = message.oneof_decl[field.oneof_index].name
            self.fields[name, field.name] = (field.number, label, kind, oneof)
        for nested in message.nested_type:
            if not nested.options.map_entry:
                self.add_message(name, nested, proto3)
        for enum in message.enum_type:
            self.add_enum(name, enum)

    def add_enum(self, scope, enum):
        for value in enum.value:
            self.values[f"{scope}.{enum.name}", value.name] = value.number


def tsv_schema():
    schema = Schema([])
    for line in TSV.read_text().splitlines():
        if line.startswith("#"):
            continue
        kind, scope, name, number, label, type_, oneof, _ = (line.split("\t") + [""] * 8)[:8]
        if kind == "message":
            schema.messages.add(scope)
        elif kind == "enum":
            schema.values[scope, name] = int(number)
        elif kind == "rpc":
            schema.methods[scope, name] = (type_, oneof, False, False)
        else:
            schema.messages.add(scope)
            schema.fields[scope, name] = (int(number), label if label in ("map", "repeated") else "one", type_, oneof)
    return schema


def compare(what, ours, theirs, findings):
    for key in sorted(theirs.keys() | ours.keys()):
        if ours.get(key) != theirs.get(key):
            findings.append(f"{what} {'.'.join(key)}: ours {ours.get(key)}, theirs {theirs.get(key)}")


def foreign(schema):
    """Leaves out what belongs to neither interface."""
    for table in (schema.fields, schema.values, schema.methods):
        for key in [k for k in table if not k[0].startswith(("qdrant.", "grpc.health.v1."))]:
            del table[key]
    return schema


def against_tsv(ours=None):
    ours, theirs, findings = foreign(ours or Schema(our_files())), tsv_schema(), []
    compare("field", ours.fields, theirs.fields, findings)
    compare("enum value", ours.values, theirs.values, findings)
    compare("method", ours.methods, theirs.methods, findings)
    findings += [f"message {m}: missing" for m in sorted(theirs.messages - ours.messages)]
    findings += [f"field {'.'.join(k)}: not packed" for k in sorted(ours.unpacked)]
    return findings


def against_client(ours=None):
    ours, theirs, findings = foreign(ours or Schema(our_files())), foreign(Schema(client_files())), []
    for table in ("fields", "values", "methods"):  # ours has health beside it
        mine = {k: v for k, v in getattr(ours, table).items() if k[0].startswith("qdrant.")}
        compare(table, mine, getattr(theirs, table), findings)
    return findings


def main():
    findings = against_tsv() + against_client()
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
