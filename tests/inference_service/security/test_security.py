"""The door: keys only their user can read, and nobody in without one."""

import contextlib
import json
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
import zmq

from inference_service.client import Client, ServiceError
from inference_service.security.clients import allow_client, hex_key, load_allowed_clients, parse_key, remove_client
from inference_service.security.gate import check_bind
from inference_service.security.keys import allowed_clients_file, load_or_make_keys
from inference_service.wire import codec, messages
from inference_service.wire.address import ServiceAddress
from inference_service.wire.connection import Connection
from inference_service.wire.download import place_inside
from lookbeyond.errors import InputError
from tests.support.double import worker_command
from tests.support.service import running, world_request

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


def test_a_network_may_be_bound_when_somebody_is_allowed_in():
    assert check_bind("tcp://0.0.0.0:5000", ["a key"]) == "tcp://0.0.0.0:5000"
    assert check_bind("tcp://[::]:5000", ["a key"]) == "tcp://[::]:5000"


# --- the list of clients ---------------------------------------------------------------------------------


@posix
def test_clients_are_added_and_removed_by_name_and_key(tmp_path):
    path = tmp_path / "keys" / "allowed.json"
    assert load_allowed_clients(path) == {}
    one, two = (load_or_make_keys(tmp_path / f"{name}.json").public for name in ("one", "two"))
    allow_client(path, "desk", hex_key(one))
    allow_client(path, "desk", one)  # again: nothing happens
    allow_client(path, "laptop", two)
    assert load_allowed_clients(path) == {"desk": one, "laptop": two}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="another key already"):
        allow_client(path, "desk", two)
    remove_client(path, hex_key(two))
    remove_client(path, "desk")
    assert load_allowed_clients(path) == {}
    with pytest.raises(InputError, match="no client desk"):
        remove_client(path, "desk")


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "~" * 40, '"' * 40, "é" * 40])
def test_what_is_no_key_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="not a public key"):
        parse_key(text)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 61, "new\nline"])
def test_names_are_plain(tmp_path, name):
    with pytest.raises(InputError, match="cannot name a client"):
        allow_client(tmp_path / "list.json", name, "0" * 64)


@posix
def test_a_list_that_is_damaged_or_not_private_is_refused(tmp_path):
    path = tmp_path / "list.json"
    for content in ("", "[]", '{"a": 5}', '{"a": "b"}', "[" * 100_000):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(InputError, match="damaged; delete it"):
            load_allowed_clients(path)
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        load_allowed_clients(path)


@posix
def test_what_a_service_writes_about_itself_is_private(service):
    for path in (service.folder / "runtime").rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with (service.folder / "runtime" / "service.json").open() as file:
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


def test_who_is_refused_before_the_first_word_is_told_so_at_once(service, tmp_path, monkeypatch):
    hello = Connection.say_hello
    monkeypatch.setattr(Connection, "say_hello", lambda self: (time.sleep(0.05), hello(self)))
    address = _address(service, tmp_path, load_or_make_keys(tmp_path / "stranger.json"))
    for _ in range(20):  # in every fourth attempt the connection has taken the way out with it
        begun = time.monotonic()
        with pytest.raises(ServiceError) as error:
            Client(address, timeout_s=10)
        assert error.value.code == "wrong_key" and time.monotonic() - begun < 2


@pytest.mark.parametrize("mute", ["service", "plaintext", "silence", "http"])
def test_whoever_lacks_the_services_key_is_noticed_within_two_seconds(service, tmp_path, mute):
    keys = load_or_make_keys(tmp_path / "other.json")
    with contextlib.ExitStack() as stack:
        if mute == "service":
            address, key = service.address.address, keys.public
        elif mute == "plaintext":
            context = stack.enter_context(zmq.Context())
            router = stack.enter_context(context.socket(zmq.ROUTER))
            port = router.bind_to_random_port("tcp://127.0.0.1")
            address, key = f"tcp://127.0.0.1:{port}", service.address.server_key
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            address, key = f"tcp://127.0.0.1:{listener.getsockname()[1]}", service.address.server_key

            def answer():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)

            if mute == "http":
                threading.Thread(target=answer, daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(ServiceError, match="does not have the service's key") as error:
            Client(ServiceAddress(address, key, service.address.client_keys), timeout_s=10)
        assert error.value.code == "wrong_key"
        assert time.monotonic() - begun < 2


def test_a_client_without_keys_is_told_so(service, tmp_path):
    with pytest.raises(ServiceError, match="cannot be read") as error:
        Client(ServiceAddress(service.address.address, service.address.server_key, str(tmp_path / "none.json")))
    assert error.value.code == "wrong_key"


def test_a_client_is_let_in_while_the_service_runs_and_shut_out_with_its_connection_open(service, tmp_path):
    guest = load_or_make_keys(tmp_path / "guest.json")
    address = _address(service, tmp_path, guest)
    path = service.folder / "runtime" / "keys" / allowed_clients_file().name
    allow_client(path, "guest", guest.public)
    deadline = time.monotonic() + 10
    while True:  # the list is read again within half a second
        try:
            client = Client(address, timeout_s=10)
            break
        except ServiceError as error:
            assert error.code == "wrong_key" and time.monotonic() < deadline
            time.sleep(0.05)
    with client, service.client() as owner:
        job = client.submit(world_request(client, tmp_path, seed=99))
        owner.ping()
        with pytest.raises(ServiceError, match="Only the user who runs") as error:
            client.shutdown()
        assert error.value.code == "not_allowed"
        remove_client(path, "guest")
        begun = time.monotonic()
        with pytest.raises(ServiceError) as error:
            for _ in client.follow(job, tmp_path / "W"):
                pass
            while time.monotonic() < begun + 5:
                client.status(job)
        assert error.value.code == "wrong_key"
        assert time.monotonic() - begun < 2
        with pytest.raises(ServiceError) as error:
            Client(address, timeout_s=10)
        assert error.value.code == "wrong_key"
        owner.ping()


def test_a_service_open_to_the_network_serves_its_own_machine_too(tmp_path, runtime):
    allow_client(allowed_clients_file(), "guest", load_or_make_keys(tmp_path / "guest.json").public)
    with running(tmp_path, worker_command(), bind="tcp://0.0.0.0:0") as service:
        assert service.server.endpoint.startswith("tcp://0.0.0.0:")
        assert service.address.address.startswith("tcp://127.0.0.1:")
        with service.client() as client:
            client.ping()


def test_a_list_that_gets_damaged_lets_nobody_else_in(tmp_path, runtime):
    guest = load_or_make_keys(tmp_path / "guest.json")
    allow_client(allowed_clients_file(), "guest", guest.public)
    with (
        running(tmp_path, worker_command()) as service,
        Client(_address(service, tmp_path, guest), timeout_s=10) as client,
        service.client() as owner,
    ):
        allowed_clients_file().write_text("{")
        with pytest.raises(ServiceError) as error:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                client.ping()
        assert error.value.code == "wrong_key"
        owner.ping()


def test_a_plaintext_peer_gets_no_answer(service):
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(service.address.address)
        with contextlib.suppress(zmq.Again):  # where it was cut off before
            plain.send_multipart(codec.encode(messages.Hello((codec.VERSION,)), 1), zmq.NOBLOCK)
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
    keys = json.loads(Path(service.address.client_keys).read_text())
    with zmq.Context() as context, context.socket(zmq.DEALER) as other:
        other.linger = 0
        other.curve_publickey, other.curve_secretkey = keys["public"].encode(), keys["secret"].encode()
        other.curve_serverkey = service.address.server_key.encode()
        other.connect(service.address.address)
        for frames, code, words in (
            ([b"LOOKBEYOND/99", b"{}"], "version", "update this side"),
            ([b"anything"], "protocol", ""),
            ([codec.MAGIC, b"[" * 5000], "protocol", ""),
            (codec.encode(messages.Hello((99,)), 1), "version", "update the service"),
            (codec.encode(messages.Status("x" * 64), 2), "hello", "HELLO"),
        ):
            other.send_multipart(frames)
            assert other.poll(5000)
            reply, _, _ = codec.decode(other.recv_multipart())
            assert isinstance(reply, messages.Error)
            assert reply.code == code and words in reply.message


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x.png", "frames/../../x.png", "frames//x.png", "./x.png", "C:/x.png", "..\\x.png"]
)
def test_a_service_cannot_name_a_file_outside_the_jobs_folder(tmp_path, name):
    with pytest.raises(ServiceError, match="outside the job's folder"):
        place_inside(tmp_path, name)
    assert place_inside(tmp_path, "frames/0001.png") == tmp_path / "frames" / "0001.png"
