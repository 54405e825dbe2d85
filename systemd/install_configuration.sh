#!/bin/sh
# Puts the example where the service looks for its configuration, unless there is one already.
# Usage: install_configuration.sh EXAMPLE SYSCONFDIR
set -eu
place=${DESTDIR:-}$2/masqgate
mkdir -p "$place"
[ -e "$place/masqgate.json" ] || install -m 644 "$1" "$place/masqgate.json"
