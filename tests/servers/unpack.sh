#!/bin/sh
# unpack.sh DIRECTORY PACKAGE...
# Unpacks Debian's packages below DIRECTORY, and the shared libraries that they need and this machine lacks.
# Nothing is installed and none of their scripts is run: for servers that cannot stand beside those that are installed.
# Needs apt-get's lists of packages (apt-get update), no rights beyond those in DIRECTORY.
set -eu
directory=$1
shift
mkdir -p "$directory/archives"
cd "$directory/archives"

# depends ARCHIVE...: names of the libraries, of alternatives the first
depends() {
  for archive in "$@"; do
    dpkg-deb --field "$archive" Depends
  done | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/:.*//; s/[[:space:]]//g' | grep '^lib' | grep -v -e '-modules' -e '-perl$' | sort -u
}

wanted=$*
seen=" $wanted "
while [ -n "$wanted" ]; do
  # shellcheck disable=SC2086  # names, one word each
  apt-get -qq -o APT::Sandbox::User=root download $wanted
  wanted=
  for name in $(depends ./*.deb); do
    case "$seen" in *" $name "*) continue ;; esac
    seen="$seen$name "
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || wanted="$wanted $name"
  done
done
for archive in ./*.deb; do
  dpkg-deb --extract "$archive" ..
done
cd .. && rm -r archives
