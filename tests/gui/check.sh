#!/usr/bin/env bash
# check.sh ROOT [OUT]: an artist's session in a real Blender window, on a screen of its own (Xvfb). ROOT is a folder
# with a Debian that has Blender, Xvfb, ImageMagick (see README.md here); screenshots and log.txt land in OUT
# (default: out/gui). Needs root, because it enters ROOT by chroot; ends with 3 and says so where it cannot run.
set -euo pipefail
here=$(dirname "$(realpath "$0")"); project=$(realpath "$here/../..")
root=${1:?usage: check.sh ROOT [OUT]}; out=$(realpath -m "${2:-$project/out/gui}")
[ "$(id -u)" = 0 ] || { echo "check.sh: skipped: it needs root to enter $root" >&2; exit 3; }
[ -x "$root/usr/bin/blender" ] || { echo "check.sh: skipped: there is no Blender in $root" >&2; exit 3; }
root=$(realpath "$root")
python=${LOOKBEYOND_BLENDER_PYTHON:-$project/.venv-blender/bin/python}
mkdir -p "$out"; rm -f "$out"/*.png "$out"/log.txt
"$python" "$project/build_addon.py" --output-dir "$project/dist" >/dev/null
cp "$project"/dist/look_beyond-*-linux_x64.zip "$out/extension.zip"
cp "$here/session.py" "$project/tests/blender_addon/played.py" "$out/"
mkdir -p "$root/host"
export ROOT=$root OUT=$out LIMIT=${GUI_TIMEOUT_S:-400}
unshare -m bash -c '
mount --bind /proc "$ROOT/proc"; mount --bind /dev "$ROOT/dev"; mount --bind "$OUT" "$ROOT/host"
chroot "$ROOT" /bin/bash -c "
export HOME=/tmp/gui_home LIBGL_ALWAYS_SOFTWARE=1 XDG_RUNTIME_DIR=/tmp/gui_xdg
export BLENDER_USER_RESOURCES=\$(mktemp -d); mkdir -p \$HOME \$XDG_RUNTIME_DIR
n=\$((200 + RANDOM % 500)); Xvfb :\$n -screen 0 1440x1000x24 +extension GLX -nolisten tcp >/tmp/xvfb.log 2>&1 & x=\$!
for i in \$(seq 50); do [ -e /tmp/.X11-unix/X\$n ] && break; sleep 0.1; done
export DISPLAY=:\$n; timeout $LIMIT blender --window-geometry 0 0 1440 1000 --enable-event-simulate --python /host/session.py >/host/blender.txt 2>&1
rc=\$?; kill \$x; rm -rf \$BLENDER_USER_RESOURCES; exit \$rc"
' || { echo "check.sh: Blender ended with $?; see $out/blender.txt" >&2; exit 1; }
rm -f "$out/session.py" "$out/played.py" "$out/extension.zip"
cat "$out/log.txt"
grep -q "^the session is complete$" "$out/log.txt"
