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
from inference_service.server.decoding import decode_strictly
from inference_service.wire import files, messages
from inference_service.wire.codec import MAGIC, decode, encode
from inference_service.wire.errors import ProtocolError
from inference_service.wire.messages import MESSAGES

SOURCES = Path(inference_service.__file__).parent
DECODERS = [decode, decode_strictly]

EXAMPLES = [
    messages.Hello((1, 2), ("previews",)),
    messages.Welcome(1, "e", "0.1.0", ({"name": "builtin"},), ({"name": "cpu"},), {"jobs": 5}),
    messages.Ping(),
    messages.Pong("e"),
    messages.Put("a" * 64, 5, 0, "photo.jpg"),
    messages.Stored("a" * 64, 5, True),
    messages.InspectPhoto("a" * 64),
    messages.PhotoFindings(True, (0.25, 0.1)),
    messages.Align(("a" * 64, "b" * 64), ({"width": 4}, {"width": 4})),
    messages.Aligned(True, {"width": 4}, 40, 0.1),
    messages.Submit("shot", {"cameras": [{"width": 4}]}),
    messages.Accepted("b" * 64, False),
    messages.Status("b" * 64),
    messages.JobStatus("b" * 64, "world", "done", 1.0, "", artifacts=(files.Artifact("x.png", 1, "c" * 64, 5),)),
    messages.ListJobs(),
    messages.Jobs((messages.JobStatus("b" * 64, "shot", "failed", 0.5, "", 2.5, "No.", "input"),)),
    messages.Events("b" * 64),
    messages.ProgressHint("b" * 64, 0.25, "Denoising", None),
    messages.PreviewHint("b" * 64),
    messages.ChangeHint("b" * 64),
    messages.Get("b" * 64, "frames/0001.png", 0, 10),
    messages.Data("b" * 64, "frames/0001.png", 0),
    messages.Locate("b" * 64, ("frames/0001.png",)),
    messages.Located(("c" * 64,), ("frames/0001.png",)),
    messages.ReportDamage("b" * 64, "frames/0001.png"),
    messages.Cancel("b" * 64),
    messages.Cancel(unit="c" * 64),
    messages.Cancelled(),
    messages.Leave(),
    messages.Pause("b" * 64, True),
    messages.Reorder("b" * 64, 0),
    messages.PriceQuestion("builtin", 1920, 1080, 5, 28),
    messages.Price(12.5, 300_000_000),
    messages.ServiceQuestion(),
    messages.ServiceStatus("e", "0.1.0", 5, 1.5, "/store", "process", ({"name": "cpu"},), {"done": 2}, None, 1, 9),
    messages.Prune(5, 1.5),
    messages.Pruned(1, 100),
    messages.Release(),
    messages.Bye(),
    messages.Acknowledged(),
    messages.Error("input", "A sentence."),
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
    artifact = files.artifact_of(path, "x")
    assert artifact.sha256 == files.file_sha256(path) and artifact.size == len(content)

    def is_right(given: bytes) -> bool:
        checksum = files.Checksum(artifact)
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
    assert lookbeyond.__version__ == messages.SERVICE_VERSION


def test_unknown_fields_are_ignored():
    for decoder in DECODERS:
        assert decoder([MAGIC, b'{"type": "STATUS", "job": "x", "later": [1]}'])[0] == messages.Status("x")


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
