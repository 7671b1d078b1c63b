# Programs of the distribution.
# shellcheck shell=bash

# install_packages installs Debian packages.
install_packages() {
  command -v apt-get >/dev/null || { echo "not a Debian: install $* yourself"; return 1; }
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install -y --no-install-recommends "$@"
}
