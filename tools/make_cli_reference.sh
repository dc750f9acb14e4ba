#!/usr/bin/env bash
# Writes docs/reference/cli.md from the help texts of the program, so that the page cannot say anything else.
#   tools/make_cli_reference.sh build/release/bin/cmunet          writes the page
#   tools/make_cli_reference.sh --check build/release/bin/cmunet  compares it; status 1 when it is stale
set -euo pipefail

check=0
if [ "${1:-}" = "--check" ]; then
  check=1
  shift
fi
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
  echo "usage: make_cli_reference.sh [--check] PATH/TO/cmunet" >&2
  exit 2
fi
program=$1
page=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/docs/reference/cli.md
written=$(mktemp)
trap 'rm -f "$written"' EXIT

# Prints one help text, without spaces at line ends and empty lines at its end.
help_of() {
  printf '%s\n' "$("$program" "$@" --help | sed 's/[[:space:]]*$//')"
}

# Prints the section of one command.
section() {
  printf '\n## cmunet %s\n\n```text\n' "$*"
  help_of "$@"
  echo '```'
}

# The names under "Subcommands:" in the program's own help.
commands() {
  help_of | awk '/^Subcommands:/ {on = 1; next} on && /^  [a-z]/ {print $1}'
}

{
  cat <<'HEAD'
# Command line

Every command, as `cmunet COMMAND --help` prints it. What the program answers to scripts is in
[exit status and errors](exit-status-and-errors.md). This page is written by `tools/make_cli_reference.sh`.

```text
HEAD
  help_of
  echo '```'
  for command in $(commands); do
    section "$command"
  done
} >"$written"

if [ $check -eq 1 ]; then
  if ! diff -u "$page" "$written"; then
    echo "docs/reference/cli.md is stale; run: make docs" >&2
    exit 1
  fi
else
  mkdir -p "$(dirname "$page")"
  cp "$written" "$page"
fi
