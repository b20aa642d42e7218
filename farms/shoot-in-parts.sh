#!/bin/sh
# A shot in parts, for Deadline, OpenCue or any other farm that runs a command line a task.
#
#   shoot-in-parts.sh part  WORLD CAMERAS STORE TASK SIZE    task number TASK (from 0) makes SIZE clips
#   shoot-in-parts.sh whole WORLD CAMERAS STORE OUT          after all parts: puts the frames together
#   shoot-in-parts.sh scene FILE.blend OUT                   or: shoots a scene of Blender, on one machine
#
# STORE is a folder that every machine sees. Deadline: a CommandLine job whose frames are the tasks, TASK is
# <STARTFRAME>; OpenCue: a Shell layer with #IFRAME#. The whole is a job that depends on the parts. Tasks beyond the last
# clip have nothing to do and end well. Exit code 2 with a line on the standard error: the input wants mending.
set -eu
case "${1:-}" in
part)
    first=$(($5 * $6 + 1))
    exec lookbeyond shot "$2" --cameras "$3" --store "$4" --clips "$first-$((first + $6 - 1))"
    ;;
whole)
    exec lookbeyond shot "$2" --cameras "$3" --store "$4" --out "$5"
    ;;
scene)
    exec "${BLENDER:-blender}" -b "$2" --command lookbeyond shot --output "$3"
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
