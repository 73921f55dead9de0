#!/usr/bin/env bash
# Runs compare.py with the first Python that has hydra-core; exit code 77 (skipped) where none has.
set -euo pipefail
folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
for python in "${ATTNLAB_PYTHON:-}" "${ATTNLAB_VENV:-}/bin/python" python3; do
  if [ -n "$python" ] && "$python" -c 'import hydra, yaml' >/dev/null 2>&1; then
    exec "$python" "$folder/compare.py" "$@"
  fi
done
echo "skipped: no Python here has hydra-core; './attnlab test --with-python' installs it, or:"
echo "  pip install -r $folder/requirements.txt, and name that Python in ATTNLAB_PYTHON"
exit 77
