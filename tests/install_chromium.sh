#!/bin/sh
# Installs Debian's chromium for the browser tests where apt is there and permitted; else says what is missing.
command -v chromium >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing chromium for the browser tests"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 && exit 0
    echo "apt could not install chromium: the browser tests will be skipped"
else
    echo "chromium is missing (Debian: apt-get install chromium): the browser tests will be skipped"
fi
