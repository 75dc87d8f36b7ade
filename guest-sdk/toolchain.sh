#!/usr/bin/env bash
# Prints the path of a rustc that compiles for wasm32-wasip2, and sees to it that there is one.
#
#   RUSTC=$(guest-sdk/toolchain.sh) cargo build --profile guest --target wasm32-wasip2 -p webtask-examples
#
# In this order: $WEBTASK_GUEST_RUSTC; the rustc on PATH, if it has the target; the one that this script made before;
# `rustup target add`; one made from Debian's packages, for machines that reach package mirrors but not rustup's.
# With --installed nothing is installed: it prints what is there, or fails. With --no-packages none of the system's is.
# stdout is that one line; everything else goes to stderr. Exit 1, with what to install, if there is no way.
set -euo pipefail

target=wasm32-wasip2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/webtask
made=$cache/guest-toolchain
packages=(rustc-web rust-web-src rust-web-llvm lld-22)

say() { echo "guest toolchain: $*" >&2; }
found() { echo "$1"; exit 0; }
last() { tail -n 15 "$1" >&2; }

# A sysroot has the target if it has a libcore for it, not merely the directory.
has_target() {
    local libs
    libs=$("$1" --print target-libdir --target $target 2>/dev/null) && compgen -G "$libs/libcore-*.rlib" >/dev/null
}

# rlibs are of use to the very compiler that made them: an upgrade of the packages makes the cached ones stale.
is_made() { [ -e "$made/complete" ] && [ "$(cat "$made/complete")" = "$(/usr/bin/rustc -vV 2>/dev/null)" ]; }

try_rustup() {
    command -v rustup >/dev/null || return 1
    say "rustup target add $target"
    timeout 120 rustup target add $target >"$log" 2>&1 && has_target rustc && return
    say "rustup cannot download it"
    return 1
}

install_packages() {
    if dpkg-query -W -f '${db:Status-Abbrev}' "${packages[@]}" 2>/dev/null | grep -qv '^\(ii \)*$'; then :
    elif dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then return; fi
    local root=()
    if [ "$(id -u)" != 0 ]; then
        root=(sudo -n)
        "${root[@]}" true 2>/dev/null || { say "installing ${packages[*]} needs root"; return 1; }
    fi
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    say "installing ${packages[*]}"
    "${apt[@]}" update >"$log" 2>&1 || { last "$log"; return 1; }
    if ! apt-cache show "${packages[@]}" >/dev/null 2>&1; then
        say "this distribution has no ${packages[*]}"
        return 1
    fi
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >"$log" 2>&1 || { last "$log"; return 1; }
}

# Debian 14 has the first wasi-libc that speaks WASI 0.2 itself: with that of 13 every guest carries an adapter of 11 KiB.
# Its archives are for wasm, so any release can use them.
fetch_libc() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/\?$') || mirror=http://deb.debian.org/debian
    [ -e $keyring ] || { say "no $keyring to verify wasi-libc with"; return 1; }
    mkdir -p "$work"/apt/{lists/partial,cache/archives/partial}
    echo "deb [signed-by=$keyring] $mirror forky main" >"$work/apt/sources.list"
    local apt=(apt-get -q -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=)
    say "fetching wasi-libc"
    if ! (cd "$work" && "${apt[@]}" update && "${apt[@]}" download wasi-libc && dpkg -x wasi-libc_*.deb libc) >"$log" 2>&1; then
        last "$log"
        return 1
    fi
}

# A sysroot is the host's libraries, the compiler's own target tools, and a std for the target.
build_sysroot() {
    local new=$work/new host lib
    host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
    lib=$new/lib/rustlib
    mkdir -p "$new/bin" "$lib/$target/lib/self-contained"
    cp "$work"/libc/usr/lib/$target/{crt1-command.o,crt1-reactor.o,libc.a} "$lib/$target/lib/self-contained/"
    ln -s "/usr/lib/rustlib/$host" "$lib/$host"
    ln -s /usr/lib/rustlib/src "$lib/src"
    # rustc links with wasm-component-ld, which looks for `wasm-ld` on PATH: lld is what it is called.
    ln -s /usr/bin/rust-lld "$new/bin/wasm-ld"
    cat >"$new/bin/rustc" <<'WRAPPER'
#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
PATH="$here/bin:$PATH" exec /usr/bin/rustc --sysroot "$here" "$@"
WRAPPER
    chmod +x "$new/bin/rustc"

    say "building std for $target, about a minute"
    mkdir -p "$work/empty/src"
    : >"$work/empty/src/lib.rs"
    # For size, because the size of a guest is its cold start.
    cat >"$work/empty/Cargo.toml" <<'MANIFEST'
[package]
name = "empty"
edition = "2024"
[workspace]
[profile.release]
codegen-units = 1
opt-level = "s"
panic = "abort"
MANIFEST
    # Bitcode, as in the std that rustup ships: without it nothing can be linked with `lto = "fat"`.
    if ! (cd "$work/empty" && env -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER -u RUSTC_WORKSPACE_WRAPPER \
        CARGO_TARGET_DIR="$work/target" RUSTFLAGS=-Cembed-bitcode=yes RUSTC_BOOTSTRAP=1 RUSTC="$new/bin/rustc" \
        cargo build --release -Zbuild-std=std,panic_abort,panic_unwind --target $target) >"$log" 2>&1; then
        last "$log"
        return 1
    fi
    find "$work/target/$target/release/deps" -name '*.rlib' ! -name 'libempty-*' -exec cp -t "$lib/$target/lib" {} +
    /usr/bin/rustc -vV >"$new/complete"
    rm -rf "$made"
    mv -T "$new" "$made"
}

try_debian() {
    command -v apt-get >/dev/null && command -v cargo >/dev/null || return 1
    install_packages && fetch_libc && build_sysroot
}

[ -z "${WEBTASK_GUEST_RUSTC:-}" ] || found "$WEBTASK_GUEST_RUSTC"
if command -v rustc >/dev/null && has_target rustc; then found "$(command -v rustc)"; fi
if is_made; then found "$made/bin/rustc"; fi
if [ "${1:-}" = --installed ]; then
    say "none is installed; run \`make guest-target\` once"
    exit 1
fi

# One at a time; whoever waited finds the work done. The lock is that of the open file, so it dies with its holder.
# Where there is no flock there is no Debian either, and rustup has locks of its own.
mkdir -p "$cache"
if command -v flock >/dev/null; then
    exec 9>"$cache/guest-toolchain.lock"
    flock 9
    if is_made; then found "$made/bin/rustc"; fi
fi
# Beside its place, so that the last step is a rename; always the same, because paths go into the hashes of crates.
work=$cache/making
rm -rf "$work"
mkdir "$work"
log=$work/log
trap 'rm -rf "$work"' EXIT

if try_rustup 9>&-; then found "$(command -v rustc)"; fi
if [ "${1:-}" != --no-packages ] && try_debian 9>&-; then found "$made/bin/rustc"; fi
say "install Rust 1.95 or later from https://rustup.rs, run \`rustup target add $target\`, and try again"
exit 1
