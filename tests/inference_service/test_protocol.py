"""The protocol: what is encoded is decoded, anything else is a ProtocolError, and the client carries no luggage."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inference_service
import lookbeyond
from inference_service import protocol
from inference_service.protocol import MAGIC, MESSAGES, ProtocolError, decode, encode
from inference_service.server import decode_strictly

SOURCES = Path(inference_service.__file__).parent
DECODERS = [decode, decode_strictly]

EXAMPLES = [
    protocol.Hello((1, 2), ("previews",)),
    protocol.Welcome(1, "e", "0.1.0", ({"name": "builtin"},), ({"name": "cpu"},), {"jobs": 5}),
    protocol.Ping(),
    protocol.Pong("e"),
    protocol.Put("a" * 64, 5, 0, "photo.jpg"),
    protocol.Stored("a" * 64, 5, True),
    protocol.Look("a" * 64),
    protocol.Seen(True, (0.25, 0.1)),
    protocol.Submit("shot", {"cameras": [{"width": 4}]}),
    protocol.Accepted("b" * 64, False),
    protocol.Status("b" * 64),
    protocol.JobStatus("b" * 64, "world", "done", 1.0, "", artifacts=(protocol.Artifact("x.png", 1, "c" * 64, 5),)),
    protocol.ListJobs(),
    protocol.Jobs((protocol.JobStatus("b" * 64, "shot", "failed", 0.5, "", 2.5, "No.", "input"),)),
    protocol.Events("b" * 64),
    protocol.Progress("b" * 64, 0.25, "Denoising", None),
    protocol.Preview("b" * 64),
    protocol.Ready("b" * 64),
    protocol.Get("b" * 64, "frames/0001.png", 0, 10),
    protocol.Data("b" * 64, "frames/0001.png", 0),
    protocol.Doubt("b" * 64, "frames/0001.png"),
    protocol.Cancel("b" * 64),
    protocol.Cancel(unit="c" * 64),
    protocol.Cancelled(),
    protocol.Leave(),
    protocol.Pause("b" * 64, True),
    protocol.Reorder("b" * 64, 0),
    protocol.ServiceQuestion(),
    protocol.ServiceStatus("e", "0.1.0", 5, 1.5, "/store", "process", ({"name": "cpu"},), {"done": 2}, None, 1, 9),
    protocol.Prune(5, 1.5),
    protocol.Pruned(1, 100),
    protocol.Release(),
    protocol.Bye(),
    protocol.Done(),
    protocol.Error("input", "A sentence."),
]


def test_every_message_comes_back_from_both_decoders():
    assert {type(example) for example in EXAMPLES} == set(MESSAGES.values())
    for example in EXAMPLES:
        for decoder in DECODERS:
            assert decoder(encode(example, 7, b"payload")) == (example, 7, b"payload")


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(0, 10**6))
def test_a_checksum_knows_the_file_in_any_pieces_and_no_other(tmp_path_factory, content, step, place):
    path = tmp_path_factory.getbasetemp() / "checked"
    path.write_bytes(content)
    artifact = protocol.artifact_of(path, "x")
    assert artifact.sha256 == protocol.file_sha256(path) and artifact.size == len(content)

    def is_right(given: bytes) -> bool:
        checksum = protocol.Checksum(artifact)
        for i in range(0, len(given), step):
            checksum.update(memoryview(given)[i : i + step])
        return checksum.matches()

    assert is_right(content)
    assert not is_right(content + b"\0") and not (content and is_right(content[:-1]))
    if content:
        other = bytearray(content)
        other[place % len(other)] ^= 1 + place % 255
        assert not is_right(bytes(other))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"type": 5}',
        b'{"type": "NOTHING"}',
        b'{"type": "STATUS"}',
        b'{"type": "STATUS", "job": 5}',
        b'{"type": "STATUS", "job": "x", "id": "1"}',
        b'{"type": "PAUSE", "job": "x", "paused": 1}',
        b'{"type": "PUT", "sha256": "x", "size": 1.5, "offset": 0}',
        b'{"type": ' * 100_000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_protocol_error(decoder, header):
    with pytest.raises(ProtocolError) as error:
        decoder([MAGIC, header])
    assert error.value.code == "protocol"


@pytest.mark.parametrize("decoder", DECODERS)
@given(data=st.data())
def test_mutated_messages_raise_nothing_but_protocol_errors(decoder, data):
    frames = [bytearray(frame) for frame in encode(data.draw(st.sampled_from(EXAMPLES)), 1, b"pay")]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        if frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    frames = frames[: data.draw(st.integers(0, len(frames)))]
    try:
        decoder([bytes(frame) for frame in frames])
    except ProtocolError as error:
        assert str(error)


def test_the_protocol_knows_the_version_of_the_package():
    assert protocol.SERVICE_VERSION == lookbeyond.__version__


def test_unknown_fields_are_ignored():
    for decoder in DECODERS:
        assert decoder([MAGIC, b'{"type": "STATUS", "job": "x", "later": [1]}'])[0] == protocol.Status("x")


def test_another_version_says_which_side_to_update():
    for magic, side in ((b"LOOKBEYOND/2", "this side"), (b"LOOKBEYOND/0", "the other side")):
        with pytest.raises(ProtocolError, match=f"update {side}") as error:
            decode([magic, b"{}"])
        assert error.value.code == "version"
    with pytest.raises(ProtocolError, match="does not speak"):
        decode([b"HTTP/1.1 400", b"{}"])


def test_the_client_needs_nothing_but_the_standard_library_and_pyzmq(tmp_path):
    for path in (SOURCES / "client.py", *(SOURCES / "wire").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {str(node.module).partition(".")[0]}
            else:
                continue
            assert roots <= set(sys.stdlib_module_names) | {"zmq"}
    shutil.copytree(SOURCES / "wire", tmp_path / "kit" / "wire")
    shutil.copy(SOURCES / "client.py", tmp_path / "kit")
    (tmp_path / "kit" / "__init__.py").touch()
    subprocess.run([sys.executable, "-c", "import kit.client"], cwd=tmp_path, check=True)
