#!/bin/sh
# Packs the tests into one archive, to run them on a GPU machine with PyTorch 2.11 and without Rust.
#
#   sh scripts/gpu-tests.sh [ARCHIVE]     build and pack [default: gpu-tests.tar.xz]
#
# Run them on the other machine, with the Python of that PyTorch in PATH:
#
#   tar -xf gpu-tests.tar.xz && sh gpu-tests/run.sh
#
# `contract` (every model) and `golden` (every layer and model against Keras) run on the first CUDA device, the other tests on
# the CPU. Without a CUDA device run.sh skips all tests and says so; FM_TEST_DEVICE=cpu runs all of them on the CPU. Both
# machines need the same processor architecture, and the other one a glibc at least as new as this one's.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
archive=${1:-gpu-tests.tar.xz}
# Maximum size of the archive in bytes, so that it is easy to copy.
limit=67108864

case $archive in
-h | --help)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bundle=$folder/gpu-tests
mkdir -p "$bundle"

cd "$root"
cargo test --release --workspace --no-run --lib --test contract --test formulas --test errors --test golden \
    --message-format=json-render-diagnostics >"$folder/messages"
# For each executable: the name of its target and its path.
sed -n 's/.*"target":{[^}]*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*/\1 \2/p' "$folder/messages" |
    while read -r name path; do
        case $name in
        fm_core | fm_models | contract | formulas | errors | golden)
            cp "$path" "$bundle/$name"
            strip "$bundle/$name"
            ;;
        esac
    done
for name in fm_core fm_models contract formulas errors golden; do
    [ -x "$bundle/$name" ] || { echo "gpu-tests: cargo did not build the test \`$name\`" >&2; exit 1; }
done
cp -R fm-models/tests/golden/data "$bundle/golden-data"

cat >"$bundle/run.sh" <<'RUN'
#!/bin/sh
# Runs the tests on FM_TEST_DEVICE [default: cuda] with the libtorch of python3's PyTorch.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${PYTHON:-python3}
torch=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
"$python" -c 'import torch; print("PyTorch", torch.__version__, "with CUDA", torch.version.cuda)'
FM_TEST_DEVICE=${FM_TEST_DEVICE:-cuda}
if [ "$FM_TEST_DEVICE" != cpu ]; then
    "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
        echo 'skipped: PyTorch finds no CUDA device; to run the tests on the CPU, set FM_TEST_DEVICE=cpu'
        exit 0
    }
    "$python" -c 'import torch; print(torch.cuda.get_device_name())'
fi
export FM_TEST_DEVICE FM_GOLDEN_DIR="$here/golden-data"
export LD_LIBRARY_PATH="$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
failed=
for test in fm_core fm_models contract formulas errors golden; do
    echo "== $test"
    (cd "$here" && "./$test" --test-threads=2) || failed="$failed $test"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
echo "all tests passed: contract and golden on $FM_TEST_DEVICE, the others on the CPU"
RUN

tar -C "$folder" -cJf "$archive" gpu-tests
size=$(wc -c <"$archive")
[ "$size" -le $limit ] || { echo "gpu-tests: $archive has $size bytes, and the maximum is $limit" >&2; exit 1; }
echo "gpu-tests: wrote $archive, $size bytes; on the other machine, run: tar -xf $(basename "$archive") && sh gpu-tests/run.sh"
