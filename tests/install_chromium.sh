#!/bin/sh
# Installs Debian's chromium-headless-shell for the browser tests where apt is there and permitted; else says what is missing.
command -v chromium-headless-shell >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing chromium-headless-shell for the browser tests"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core; } \
        >/dev/null 2>&1 && exit 0
    echo "apt could not install it"
fi
command -v chromium >/dev/null 2>&1 && echo "the browser tests run in chromium, and take longer" && exit 0
echo "no browser (Debian: apt-get install chromium-headless-shell): the browser tests will be skipped"
