#!/bin/sh
# Installs a wheel into a new environment, and trains, exports, loads and scores with it.
#
#   sh scripts/wheel-test.sh WHEEL [--download]
#
# --download  install PyTorch, pandas, Polars and mypy from PyPI (up to 3 GB), as a user would. Without it, the
#             environment uses the packages of FM_PYTHON, and what they lack is skipped.
#
# Environment:
#   FM_PYTHON  a Python with PyTorch 2.11, such as that of `make python`
#   PYTHON     with --download, the Python to use, 3.10 or later [default: python3]
set -eu
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH LIBTORCH

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
wheel=${1-} download=${2-}

die() {
    printf 'wheel-test: %s\n' "$*" >&2
    exit 1
}

[ -f "$wheel" ] || die "name the wheel to test; \`make wheel\` builds one"
case $download in
'' | --download) ;;
*) die "unknown option $download" ;;
esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' HUP INT TERM

pip() { "$folder/env/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@"; }

if [ "$download" = --download ]; then
    "${PYTHON:-python3}" -m venv "$folder/env"
    pip install "$wheel" pandas polars mypy || die "pip could not install the wheel and PyTorch"
else
    if [ -z "${FM_PYTHON-}" ]; then
        echo 'skipped: FM_PYTHON is not set: make python installs it, or test with --download'
        exit 0
    fi
    "$FM_PYTHON" -m venv "$folder/env"
    packages=$("$FM_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    # PyTorch is in another folder than the wheel, as in an environment that sees the system's packages.
    own=$("$folder/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    echo "$packages" >"$own/others.pth"
    pip install --no-deps --no-index "$wheel" || die "pip could not install the wheel"
fi
# Not the checkout, which has a folder `fm`.
cd "$folder"
env/bin/fm --version
env/bin/fm doctor
# Without the entry point, the program finds PyTorch if it is in the same folder of packages.
[ "$download" != --download ] || env/lib/python*/site-packages/fm/bin/fm doctor >doctor
if env/bin/python -c 'import mypy' 2>/dev/null; then
    env/bin/python -m mypy --strict -p fm
fi
env/bin/python "$root/scripts/wheel_test.py"
