#!/usr/bin/env bash
# check.sh ROOT [OUT [STAGE ...]]: an artist's session in a real Blender window, on a screen of its own (Xvfb). ROOT is
# a folder with a Debian that has Blender, Xvfb, ImageMagick (see README.md here); screenshots and log.txt land in OUT
# (default: out/gui). Each STAGE (default: all) is a Blender of its own with GUI_TIMEOUT_S (default: 600) seconds, and
# goes on from what the one before left in OUT/state. Needs root, because it enters ROOT by chroot; ends with 3 and
# says so where it cannot run.
set -euo pipefail
here=$(dirname "$(realpath "$0")"); project=$(realpath "$here/../..")
root=${1:?usage: check.sh ROOT [OUT [STAGE ...]]}; out=$(realpath -m "${2:-$project/out/gui}")
all="example draft photo world picture360 path shot lit long"; stages=${*:3}; stages=${stages:-$all}
[ "$(id -u)" = 0 ] || { echo "check.sh: skipped: it needs root to enter $root" >&2; exit 3; }
[ -x "$root/usr/bin/blender" ] || { echo "check.sh: skipped: there is no Blender in $root" >&2; exit 3; }
root=$(realpath "$root")
python=${LOOKBEYOND_BLENDER_PYTHON:-$project/.venv-blender/bin/python}
service_python=${LOOKBEYOND_PYTHON:-$project/.venv/bin/python}
mkdir -p "$out/room"; rm -f "$out"/99_failed*.png "$out"/log.txt
[ "$stages" != "$all" ] || rm -rf "$out"/*.png "$out/state"
"$python" "$project/build_addon.py" --output-dir "$project/dist" >/dev/null
cp "$project"/dist/look_beyond-*-linux_x64.zip "$out/extension.zip"
mkdir -p "$out/tests/support"
cp "$here/session.py" "$here/frames.py" "$out/"; cp "$project"/tests/support/*.py "$out/tests/support/"
[ -e "$out/room/photo.png" ] || "$service_python" "$here/room.py" "$out/room"
mkdir -p "$root/host"
export SIZE=${GUI_SIZE:-1600x900} ROOT=$root OUT=$out LIMIT=${GUI_TIMEOUT_S:-600} STAGES=$stages
unshare -m bash -c '
mount --bind /proc "$ROOT/proc"; mount --bind /dev "$ROOT/dev"; mount --bind "$OUT" "$ROOT/host"
chroot "$ROOT" /bin/bash -c "
export HOME=/tmp/gui_home LIBGL_ALWAYS_SOFTWARE=1 XDG_RUNTIME_DIR=/tmp/gui_xdg
export BLENDER_USER_RESOURCES=\$(mktemp -d); mkdir -p \$HOME \$XDG_RUNTIME_DIR
n=\$((200 + RANDOM % 500)); Xvfb :\$n -screen 0 ${SIZE}x24 +extension GLX -nolisten tcp >/tmp/xvfb.log 2>&1 & x=\$!
for i in \$(seq 100); do [ -e /tmp/.X11-unix/X\$n ] && break; sleep 0.1; done
export DISPLAY=:\$n GUI_SIZE=$SIZE; rc=0
for GUI_STAGE in $STAGES; do
    export GUI_STAGE
    timeout $LIMIT blender --window-geometry 0 0 ${SIZE/x/ } --python /host/session.py \
        >/host/blender_\$GUI_STAGE.txt 2>&1 || { rc=\$?; echo \"check.sh: Blender ended with \$rc in \$GUI_STAGE\" >&2; break; }
    grep -q \"^the stage \$GUI_STAGE is complete\" /host/log.txt || { rc=1; break; }
done
kill \$x; rm -rf \$BLENDER_USER_RESOURCES; exit \$rc"
' || { cat "$out/log.txt"; echo "check.sh: failed; see $out/blender_*.txt and $out/99_failed*.png" >&2; exit 1; }
rm -rf "$out/session.py" "$out/frames.py" "$out/tests" "$out/extension.zip"
cat "$out/log.txt"
echo "check.sh: every stage is complete: $stages"
