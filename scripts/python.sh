#!/bin/sh
# Creates the Python environment for the tests of exported files, for the CPU: PyTorch in libtorch's version, ONNX
# Runtime, Triton's parser of config.pbtxt, CMake and Ninja, as pinned in scripts/python-requirements.txt. Keeps an
# existing environment until the pins change.
#
#   sh scripts/python.sh [FOLDER]
#
# FOLDER  the folder of the environment [default: .python in the checkout]; run the tests with
#         FM_PYTHON=FOLDER/bin/python
#
# Environment:
#   PYTHON  the Python to use, 3.11 to 3.14 [default: python3]
set -eu
unset PYTHONPATH PYTHONHOME

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/python-requirements.txt
python=${PYTHON:-python3}
# Its wheels need no CUDA libraries, which makes them gigabytes smaller than PyPI's.
cpu_index=https://download.pytorch.org/whl/cpu

main() {
    parse_arguments "$@"
    read_pins
    if is_current "$folder"; then
        say "the environment in $folder is up to date"
    else
        install
        say "installed PyTorch $torch_version and the other packages in $folder; the tests use them if FM_PYTHON='$folder/bin/python'"
    fi
}

say() { printf 'python: %s\n' "$*"; }
warn() { printf 'python: %s\n' "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

parse_arguments() {
    folder=$root/.python again="sh scripts/python.sh"
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        -*) die "unknown option $1; see sh scripts/python.sh --help" ;;
        '') die "FOLDER is empty; omit it to install into $folder" ;;
        *) folder=$1 again="sh scripts/python.sh '$1'" ;;
        esac
        shift
    done
    # Resolve links, because the folder is renamed.
    if [ -d "$folder" ]; then
        folder=$(CDPATH='' cd -P -- "$folder" && pwd) || die "cannot enter $folder"
    fi
    case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
    esac
    folder=${folder%/}
}

# --- pins and the installed version --------------------------------------------------------------------

read_pins() {
    pins=$(sed -e 's/ *#.*//' -e '/^$/d' "$requirements") || die "cannot read $requirements"
    torch_version=$(printf '%s\n' "$pins" | sed -n 's/^torch==//p')
    libtorch_version=$(sed -n 's/^const LIBTORCH_VERSION: &str = "\(.*\)";$/\1/p' "$root/fm-core/build.rs")
    [ "$torch_version" = "$libtorch_version" ] ||
        die "scripts/python-requirements.txt pins torch ${torch_version:-in no version}, but fm-core/build.rs expects libtorch ${libtorch_version:-in no version}; use the same version in both"
}

# is_current FOLDER: whether it has an environment with these pins whose Python still runs
is_current() {
    [ -f "$1/pins.txt" ] && [ "$(cat "$1/pins.txt")" = "$pins" ] && "$1/bin/python" -c '' 2>/dev/null
}

# --- installation ------------------------------------------------------------------------------------

install() {
    if { [ -e "$folder" ] || [ -L "$folder" ]; } && [ ! -f "$folder/pins.txt" ] && ! rmdir "$folder" 2>/dev/null; then
        die "$folder exists but was not created by this script; move it away, then run: $again"
    fi
    check_python
    # The environment is built in this folder, which is renamed when it is complete.
    partial=$folder.partial.$$
    environment=$partial/environment
    remove_interrupted_installs
    mkdir -p "$partial/tmp" 2>/dev/null || die "cannot write to $(dirname "$folder"); to install elsewhere, run: sh scripts/python.sh FOLDER"
    trap 'rm -rf "$partial"' EXIT
    trap 'exit 130' HUP INT TERM
    "$python" -m venv "$environment" || die "$python -m venv failed (see its message above)"
    install_packages
    check_environment
    put_in_place
}

check_python() {
    command -v "$python" >/dev/null 2>&1 || die "$python is not in PATH; on Debian and Ubuntu: apt install python3-venv"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null ||
        die "Python 3.11 to 3.14 is required, found $("$python" --version 2>&1 | head -n 1); choose one with: PYTHON=python3.12 $again"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python cannot create environments; on Debian and Ubuntu: apt install python3-venv"
}

# Removes what killed runs left behind. The name ends with the id of the process.
remove_interrupted_installs() {
    for left in "$folder".partial.*; do
        if [ -d "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null; then rm -rf "$left"; fi
    done
}

install_packages() {
    printf '%s\n' "$pins" >"$partial/requirements.txt"
    if [ "$(uname -s)" != Linux ]; then
        check_space 2 "about 0.3 GB"
    elif cpu_index_answers && check_space 2 "about 0.3 GB" &&
        pip_install --index-url "$cpu_index" "torch==$torch_version+cpu"; then
        printf '%s\n' "$pins" | grep -v -e '^torch==' -e '^nvidia-' >"$partial/requirements.txt"
    else
        say "$cpu_index does not provide torch $torch_version+cpu; installing PyPI's torch, which includes CUDA"
        check_space 7 "about 2.3 GB"
    fi
    pip_install --requirement "$partial/requirements.txt" ||
        die "pip could not install scripts/python-requirements.txt (see its message above); check the network and the disk space, then run again: $again"
}

# Waits for at most five seconds, including the DNS lookup.
cpu_index_answers() {
    "$python" - "$cpu_index/torch/" 2>/dev/null <<'PYTHON'
import os, sys, threading, urllib.request

alarm = threading.Timer(5, os._exit, [1])
alarm.daemon = True
alarm.start()
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5).close()
PYTHON
}

# check_space GIGABYTES DOWNLOAD: fails unless the wheels and their contents fit
check_space() {
    free=$(df -Pk "$partial" | awk 'NR == 2 { print int($4 / 1000000) }')
    [ "${free:-$1}" -ge "$1" ] ||
        die "the installation takes $1 GB, and $(dirname "$folder") has $free GB free; to install elsewhere, run: sh scripts/python.sh FOLDER"
    say "downloading PyTorch $torch_version and the other packages to $folder: $2"
}

# pip unpacks in TMPDIR first. Next to the target, that saves space elsewhere. Its cache would keep a second copy.
pip_install() {
    set -- --no-deps --only-binary :all: --no-user --no-compile --no-cache-dir --no-input --disable-pip-version-check "$@"
    [ -t 1 ] || set -- --quiet "$@"
    TMPDIR=$partial/tmp PIP_ROOT_USER_ACTION=ignore "$environment/bin/python" -m pip install "$@"
}

check_environment() {
    "$environment/bin/python" - "$torch_version" <<'PYTHON' || die "the installed packages do not work (see Python's message above); check pip's settings: $python -m pip config list"
import sys

import numpy
import onnx
import onnxruntime
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

found = torch.__version__.split("+")[0]
if found != sys.argv[1]:
    sys.exit(f"python: expected torch {sys.argv[1]}, found {found}")
torch.nn.Linear(2, 1)(torch.ones(1, 2)).sum().backward()
text_format.Parse('name: "check"', model_config_pb2.ModelConfig())
PYTHON
    for tool in cmake ninja; do
        "$environment/bin/$tool" --version >/dev/null || die "the installed $tool does not run (see its message above)"
    done
}

# Not `mv`: if another run was faster, it would move this folder into the other one.
put_in_place() {
    if is_current "$folder"; then return; fi
    printf '%s\n' "$pins" >"$environment/pins.txt"
    "$environment/bin/python" - "$environment" "$folder" 2>/dev/null <<'PYTHON' || is_current "$folder" || die "cannot rename $environment to $folder"
import os, sys

old, new = sys.argv[1:]
# Scripts contain the path of their Python.
for name in ["pyvenv.cfg", *(os.path.join("bin", name) for name in os.listdir(os.path.join(old, "bin")))]:
    path = os.path.join(old, name)
    if os.path.islink(path):
        continue
    with open(path, "rb") as file:
        content = file.read()
    if b"\0" not in content and os.fsencode(old) in content:
        with open(path, "wb") as file:
            file.write(content.replace(os.fsencode(old), os.fsencode(new)))
# Replace an environment with other pins.
if os.path.exists(os.path.join(new, "pins.txt")):
    os.rename(new, os.path.join(os.path.dirname(old), "outdated"))
os.rename(old, new)
PYTHON
}

main "$@"; exit # on one line, so that editing this file does not affect a running script
