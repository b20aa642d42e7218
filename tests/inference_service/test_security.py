"""The door: keys only their user can read, and nobody in without one."""

import json
import os
import socket
import stat
import sys
import time

import pytest
import zmq

from inference_service import protocol
from inference_service.client import Client, ServiceError
from inference_service.protocol import ServiceAddress
from inference_service.security import check_bind, load_or_make_keys
from lookbeyond.errors import InputError

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


@posix
def test_keys_are_made_private_and_stay_the_same(tmp_path):
    path = tmp_path / "keys" / "server.json"
    keys = load_or_make_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_make_keys(path) == keys
    assert keys.secret not in repr(keys)


@posix
def test_keys_that_others_can_read_are_refused(tmp_path):
    path = tmp_path / "server.json"
    load_or_make_keys(path)
    path.chmod(0o644)
    with pytest.raises(InputError, match="can be read by others; delete it"):
        load_or_make_keys(path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"public": "a", "secret": "b"}', '{"public": 1, "secret": 2}'])
def test_damaged_keys_are_refused(tmp_path, content):
    path = tmp_path / "server.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match="damaged; delete it"):
        load_or_make_keys(path)


def test_keys_that_do_not_belong_together_are_refused(tmp_path):
    one, two = load_or_make_keys(tmp_path / "one.json"), load_or_make_keys(tmp_path / "two.json")
    (tmp_path / "one.json").write_text(json.dumps({"public": one.public, "secret": two.secret}))
    with pytest.raises(InputError, match="damaged"):
        load_or_make_keys(tmp_path / "one.json")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:5000", "tcp://localhost:5000", "tcp://127.0.0.1:0", "tcp://[::1]:5"]
)
def test_the_loopback_may_be_bound(address):
    assert check_bind(address).startswith("tcp://")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://0.0.0.0:5000", "open to the network"),
        ("tcp://192.168.1.5:5000", "open to the network"),
        ("tcp://*:5000", "cannot be used"),
        ("tcp://example.com:5000", "cannot be used"),
        ("ipc:///tmp/x", "cannot be used"),
        ("tcp://127.0.0.1:99999", "cannot be used"),
        ("5000", "cannot be used"),
        ("", "cannot be used"),
    ],
)
def test_other_addresses_are_refused_with_a_remedy(address, words):
    with pytest.raises(InputError, match=words):
        check_bind(address)


@posix
def test_what_a_service_writes_about_itself_is_private(service):
    for path in (service.folder / "runtime").rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open(service.folder / "runtime" / "service.json") as file:
        assert "secret" not in file.read()


def _address(service, folder, keys):
    (folder / "client.json").write_text(json.dumps({"public": keys.public, "secret": keys.secret}))
    return ServiceAddress(service.address.address, service.address.server_key, str(folder / "client.json"), os.getpid())


def test_an_unknown_key_is_told_so_at_once(service, tmp_path):
    stranger = load_or_make_keys(tmp_path / "stranger.json")
    begun = time.monotonic()
    with pytest.raises(ServiceError) as error:
        Client(_address(service, tmp_path, stranger), timeout_s=10)
    assert error.value.code == "wrong_key"
    assert time.monotonic() - begun < 2


def test_another_server_key_is_noticed(service, tmp_path):
    other = load_or_make_keys(tmp_path / "other.json")
    address = ServiceAddress(service.address.address, other.public, service.address.client_keys, os.getpid())
    with pytest.raises(ServiceError) as error:
        Client(address, timeout_s=2)
    assert error.value.code in ("wrong_key", "not_running", "timeout")


def test_a_plaintext_peer_gets_no_answer(service):
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(service.address.address)
        plain.send_multipart(protocol.encode(protocol.Hello((protocol.VERSION,)), 1))
        assert not plain.poll(300)
    with service.client() as client:
        client.ping()


def test_random_bytes_do_no_harm(service):
    host, port = service.address.address.removeprefix("tcp://").split(":")
    greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00CURVE".ljust(64, b"\x00")
    for i in range(30):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall((greeting if i % 2 else b"") + os.urandom(200))
    with service.client() as client:
        client.ping()
    assert service.thread.is_alive()


def test_a_message_of_another_version_is_answered_with_the_side_to_update(service):
    keys = json.loads(open(service.address.client_keys).read())
    with zmq.Context() as context, context.socket(zmq.DEALER) as other:
        other.linger = 0
        other.curve_publickey, other.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
        other.curve_serverkey = service.address.server_key.encode()
        other.connect(service.address.address)
        for frames, code, words in (
            ([b"LOOKBEYOND/99", b"{}"], "version", "update this side"),
            ([b"anything"], "protocol", ""),
            ([protocol.MAGIC, b"[" * 5000], "protocol", ""),
            (protocol.encode(protocol.Hello((99,)), 1), "version", "update the service"),
            (protocol.encode(protocol.Status("x" * 64), 2), "hello", "HELLO"),
        ):
            other.send_multipart(frames)
            assert other.poll(5000)
            reply, _, _ = protocol.decode(other.recv_multipart())
            assert isinstance(reply, protocol.Error)
            assert reply.code == code and words in reply.message
