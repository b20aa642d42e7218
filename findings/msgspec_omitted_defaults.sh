#!/bin/sh
# msgspec 0.22.0: a Struct with omit_defaults=True leaves out a field only where its value is the *same object* as the
# default (or an empty list, set or dict). A string or a float that is equal to the default but was made elsewhere, by
# decoding a message for one, is written. So equal objects have different encodings, and decoding a message and encoding
# it again does not give the message an equal object gives: a hash of the bytes is no identity.
#
# Output seen (msgspec 0.22.0, Python 3.11):
#   b'{}' b'{"room":"auto","share":0.5}' True
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "msgspec==0.22.0"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import msgspec


class Request(msgspec.Struct, omit_defaults=True):
    room: str = "auto"
    share: float = 0.5
    steps: int = 0


own = Request()
received = msgspec.json.decode(b'{"room":"auto","share":0.5,"steps":0}', type=Request)
print(msgspec.json.encode(own), msgspec.json.encode(received), own == received)
PYTHON
)
echo "$seen"
[ "$seen" = "b'{}' b'{\"room\":\"auto\",\"share\":0.5}' True" ]
