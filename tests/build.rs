//! Builds the guests and the examples for WebAssembly, once for WASI 0.2 and once for 0.3, and names each
//! for the tests.

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
    let mut constants = String::new();
    let mut all = String::new();
    // Both are built in one directory, which keeps what they share, so each is copied out.
    for (generation, features, built) in [
        ("p2", None, out.join("components")),
        (
            "p3",
            Some("webtask-test-guests/p3,webtask-examples/p3"),
            out.join("components/p3"),
        ),
    ] {
        build(&root, &target, features);
        fs::create_dir_all(&built).expect("OUT_DIR is writable");
        constants.push_str(&format!(
            "/// Components of WASI {}.\npub mod {generation} {{\n",
            generation.replace('p', "0."),
        ));
        for (module, sources) in [
            ("guests", "tests/guests/src/bin"),
            ("examples", "examples/src/bin"),
        ] {
            constants.push_str(&format!(
                "/// Components built from `{sources}`.\npub mod {module} {{\n"
            ));
            for name in names(&root.join(sources)) {
                let file = format!("{name}.wasm");
                let path = built.join(&file);
                fs::copy(target.join("wasm32-wasip2/guest").join(&file), &path)
                    .expect("cargo has built it");
                let constant = name.to_uppercase().replace('-', "_");
                constants.push_str(&format!(
                    "    /// `{name}`\n    pub const {constant}: &str = {path:?};\n"
                ));
                all.push_str(&format!("({name:?}, {path:?}), "));
            }
            constants.push_str("}\n");
        }
        constants.push_str("}\n");
    }
    constants.push_str(&with_debug_information(
        &root,
        &target,
        &out.join("components/debug"),
    ));
    constants.push_str("pub use p2::{examples, guests};\n");
    constants.push_str(&format!(
        "/// Every component, by name.\npub const ALL: &[(&str, &str)] = &[{all}];\n"
    ));
    constants.push_str(&format!(
        "/// The directory they are in, those of WASI 0.3 in `p3` below it.\npub const BUILT: &str = {:?};\n",
        out.join("components"),
    ));
    fs::write(out.join("components.rs"), constants).expect("OUT_DIR is writable");
}

/// The guest that makes its author's mistakes once more, as an author would build it who wants to read source lines.
fn with_debug_information(root: &Path, target: &Path, built: &Path) -> String {
    let line_tables = [
        ("CARGO_PROFILE_GUEST_DEBUG", "line-tables-only"),
        ("CARGO_PROFILE_GUEST_STRIP", "none"),
    ];
    let guest = ["-p", "webtask-test-guests", "--bin", "mistakes"];
    nested(root, target, &guest, &line_tables);
    fs::create_dir_all(built).expect("OUT_DIR is writable");
    let path = built.join("mistakes.wasm");
    fs::copy(target.join("wasm32-wasip2/guest/mistakes.wasm"), &path).expect("cargo has built it");
    format!(
        "/// Components with debug information.\npub mod debug {{\n    /// `mistakes`\n    pub const MISTAKES: &str = {path:?};\n}}\n"
    )
}

/// All guests and examples.
fn build(root: &Path, target: &Path, features: Option<&str>) {
    let mut what = vec!["-p", "webtask-test-guests", "-p", "webtask-examples"];
    if let Some(features) = features {
        what.extend(["--no-default-features", "--features", features]);
    }
    nested(root, target, &what, &[]);
}

/// One nested cargo, with a target directory of its own: sharing one deadlocks.
fn nested(root: &Path, target: &Path, what: &[&str], environment: &[(&str, &str)]) {
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
        .args(what)
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTC", rustc)
        .envs(environment.iter().copied());
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

/// The programs of a package: the names of its `src/bin/*.rs` and `src/bin/*/main.rs`.
fn names(sources: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(sources)
        .expect("the package has programs")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let program =
                path.extension().is_some_and(|ext| ext == "rs") || path.join("main.rs").exists();
            program.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}
