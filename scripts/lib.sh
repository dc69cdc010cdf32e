# Sourced by the scripts beside it: what they all need on a fresh machine.

# Installs Debian packages for commands that are missing: need COMMAND PACKAGE [COMMAND PACKAGE...]
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    local as_root=()
    if [ "$(id --user)" -ne 0 ]; then
        as_root=(sudo)
    fi
    if ! command -v apt-get >/dev/null || { [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
        echo "please install: ${missing[*]}" >&2
        exit 1
    fi
    "${as_root[@]}" apt-get update --quiet --quiet
    "${as_root[@]}" apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
}

need_rust() {
    if ! command -v cargo >/dev/null; then
        echo "please install Rust (1.95 or newer): https://rustup.rs" >&2
        exit 1
    fi
    need cc gcc
}

# The same for a package that is recognised by a file.
need_file() {
    [ -e "$1" ] || need "$1" "$2"
}

# Services of packages that are installed from here are not started (Debian's policy-rc.d): only private instances are used.
keep_services_off() {
    if [ "$(id --user)" -eq 0 ] && [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
}

# A browser, Node.js, a font for Chinese, and the packages of tests/browser.
need_browser() {
    local installed=tests/browser/node_modules/.package-lock.json
    [ -n "${CHROMIUM:-}" ] || need chromium chromium
    need node nodejs npm npm
    need_file /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc fonts-noto-cjk
    if [ ! "$installed" -nt tests/browser/package-lock.json ]; then
        if ! npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --loglevel=error; then
            echo "npm could not fetch the packages of tests/browser/package-lock.json (no network?)." >&2
            echo "To leave the browser tests out: TABMAIL_BROWSER_TESTS=skip" >&2
            exit 1
        fi
        touch "$installed"
    fi
}
