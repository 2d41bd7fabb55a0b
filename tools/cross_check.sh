#!/usr/bin/env bash
# Checks detkit's C++ operators on aarch64 without such a machine: a cross compiler's program under
# qemu runs random cases with the address and UB sanitizers, and the box operators have to give the
# same bits as on this machine's x86-64.
#
#   tools/cross_check.sh [CASES] [OPTION...]     CASES on each of the two (3,000), options of
#                                                tools/fuzz_ops.py, for example --seed 3 --only nms
#
# PYTHON names the interpreter that detkit is installed in, where it is not `python`.
set -euo pipefail

# A machine may well have neither: that is no failure, but it has to be seen.
# Debian's qemu-user-static has the same program under another name.
for tool in aarch64-linux-gnu-g++ "qemu-aarch64 qemu-aarch64-static"; do
  if ! command -v $tool > /dev/null; then
    echo "skipped, there is no ${tool%% *}: apt install g++-aarch64-linux-gnu qemu-user"
    exit 0
  fi
done
# On aarch64 itself, the two sides would be the same.
if [ "$(uname -m)" != x86_64 ]; then
  echo "skipped, this machine is no x86-64: tools/fuzz_ops.py alone checks the operators here"
  exit 0
fi

cases=3000
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  cases=$1
  shift
fi
cd "$(dirname "$0")/.."
# fuzz_ops.py shares its cases among the instruction sets; an option after --seed 7 overrides it.
exec "${PYTHON:-python}" tools/fuzz_ops.py --isa baseline aarch64 --cases $((2 * cases)) \
  --seed 7 "$@"
