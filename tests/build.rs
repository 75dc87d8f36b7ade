//! Builds the guests and the examples for WebAssembly, once, and names each for the tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio, exit},
};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for path in [
        "guests",
        "../examples",
        "../guest-sdk",
        "../wit",
        "../Cargo.toml",
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=WEBTASK_GUEST_RUSTC");

    let target = out.join("guests");
    build(&root, &target);
    let built = target.join("wasm32-wasip2/guest");
    let mut constants = String::new();
    let mut all = String::new();
    for (module, sources) in [
        ("guests", "tests/guests/src/bin"),
        ("examples", "examples/src/bin"),
    ] {
        constants.push_str(&format!(
            "/// Components built from `{sources}`.\npub mod {module} {{\n"
        ));
        for name in names(&root.join(sources)) {
            let path = built.join(format!("{name}.wasm"));
            let constant = name.to_uppercase().replace('-', "_");
            constants.push_str(&format!(
                "    /// `{name}`\n    pub const {constant}: &str = {path:?};\n"
            ));
            all.push_str(&format!("({name:?}, {path:?}), "));
        }
        constants.push_str("}\n");
    }
    constants.push_str(&format!(
        "/// Every component, by name.\npub const ALL: &[(&str, &str)] = &[{all}];\n"
    ));
    constants.push_str(&format!(
        "/// The directory they are in.\npub const BUILT: &str = {built:?};\n"
    ));
    fs::write(out.join("components.rs"), constants).expect("OUT_DIR is writable");
}

/// One nested cargo, with a target directory of its own: sharing one deadlocks.
fn build(root: &Path, target: &Path) {
    let found = Command::new(root.join("guest-sdk/toolchain.sh"))
        .arg("--installed")
        .stderr(Stdio::inherit())
        .output();
    let rustc = match found {
        Ok(found) if found.status.success() => {
            String::from_utf8_lossy(&found.stdout).trim().to_owned()
        }
        _ => {
            println!(
                "cargo::error=no compiler for WebAssembly components; run `make guest-target` once"
            );
            exit(1);
        }
    };
    let cargo = env::var_os("CARGO").expect("cargo sets it");
    let mut nested = Command::new(cargo);
    nested
        .args([
            "build",
            "--locked",
            "--profile",
            "guest",
            "--target",
            "wasm32-wasip2",
        ])
        .args(["-p", "webtask-test-guests", "-p", "webtask-examples"])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTC", rustc);
    // What the outer cargo (or clippy) set for its own target must not reach the inner one.
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ] {
        nested.env_remove(name);
    }
    if !nested.status().is_ok_and(|status| status.success()) {
        println!("cargo::error=the guests do not build; see above");
        exit(1);
    }
}

/// The programs of a package: the names of its `src/bin/*.rs`.
fn names(sources: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(sources)
        .expect("the package has programs")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            (path.extension()? == "rs").then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}
