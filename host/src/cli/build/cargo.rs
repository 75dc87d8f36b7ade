//! What cargo says of a project, and how it is called to build it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::cli::Failure;

const TARGET: &str = "wasm32-wasip2";
/// The profile of `webtask dev`, which no project has to know.
pub(in crate::cli) const DEV: &str = "webtask-dev";

/// It behaves as what is deployed, and is built anew in a fraction of the time. With the profile `dev` a first build took
/// 117 seconds of CPU time, with this one 44, the next ones as long.
const IN_A_HURRY: [&str; 8] = [
    "inherits=\"release\"",
    "opt-level=\"s\"",
    "lto=\"off\"",
    "codegen-units=16",
    "incremental=true",
    "strip=\"none\"",
    "debug=\"line-tables-only\"",
    "package.\"*\".debug=false",
];

/// A package with the program that becomes the component.
#[derive(Debug)]
pub(in crate::cli) struct Project {
    pub(in crate::cli) directory: PathBuf,
    /// The name of the program.
    pub(in crate::cli) program: String,
    manifest: PathBuf,
    /// Where the manifest of its workspace is.
    workspace: PathBuf,
    target: PathBuf,
}

/// What a build is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Purpose {
    /// To be small, with source lines for backtraces.
    Debug,
    /// To be there soon.
    Dev,
    /// To be small.
    Release,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    default_run: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

/// What cargo tells of a build, a line of JSON each.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Target {
    fn is_program(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}

fn cargo() -> Command {
    // What cargo sets for those that it runs is the cargo of this very toolchain.
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn absent(error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot run cargo: {error}"))
        .hint("install Rust from https://rustup.rs, or put cargo on PATH")
}

impl Project {
    /// The project in `directory`, and of its programs `bin`, or the only one.
    pub(in crate::cli) fn find(directory: &Path, bin: Option<&str>) -> Result<Self, Failure> {
        let shown = directory.display();
        let manifest = directory
            .join("Cargo.toml")
            .canonicalize()
            .map_err(|error| {
                Failure::usage(format!("no Cargo.toml in {shown}: {error}")).hint(
                    "name the project's folder with --dir, or make one with: webtask new NAME",
                )
            })?;
        let output = cargo()
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(&manifest)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| absent(&error))?;
        let read: Option<Metadata> = match output.status.success() {
            true => serde_json::from_slice(&output.stdout).ok(),
            false => None,
        };
        let metadata = read.ok_or_else(|| {
            Failure::refused(format!(
                "cargo cannot read {}, see above",
                manifest.display()
            ))
        })?;
        let same = |package: &&Package| package.manifest_path == manifest;
        let package = metadata.packages.iter().find(same).ok_or_else(|| {
            Failure::usage(format!(
                "{} is of a workspace and no package",
                manifest.display()
            ))
            .hint("name the folder of one of its packages with --dir")
        })?;
        Ok(Self {
            directory: manifest.parent().unwrap_or(directory).to_owned(),
            program: package.program(bin, &shown.to_string())?,
            workspace: metadata.workspace_root.join("Cargo.toml"),
            target: metadata.target_directory,
            manifest,
        })
    }

    /// The call of cargo that builds it with `rustc`: artifacts on stdout, as JSON; all else on stderr.
    pub(in crate::cli) fn build(&self, rustc: &Path, purpose: Purpose) -> Command {
        let mut command = cargo();
        command
            .args([
                "build",
                "--target",
                TARGET,
                "--message-format",
                "json-render-diagnostics",
            ])
            .arg("--manifest-path")
            .arg(&self.manifest)
            .args(["--bin", &self.program])
            .current_dir(&self.directory)
            .env("RUSTC", rustc)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        match purpose {
            Purpose::Debug => command
                .arg("--release")
                .env("CARGO_PROFILE_RELEASE_STRIP", "none")
                .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"),
            Purpose::Dev => {
                for setting in IN_A_HURRY {
                    command.args(["--config", &format!("profile.{DEV}.{setting}")]);
                }
                command.args(["--profile", DEV])
            }
            Purpose::Release => command
                .arg("--release")
                .env("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
        };
        command
    }

    /// The component, if `line` of cargo's says that it was made, or was there.
    pub(in crate::cli) fn component(&self, line: &str) -> Option<PathBuf> {
        let message: Message = serde_json::from_str(line).ok()?;
        let target = message.target?;
        let own = message.reason == "compiler-artifact"
            && message.manifest_path.as_ref() == Some(&self.manifest)
            && target.is_program()
            && target.name == self.program;
        let wasm = |path: &PathBuf| path.extension() == Some(OsStr::new("wasm"));
        own.then(|| message.filenames.into_iter().find(wasm))?
    }

    /// Builds it, while the person looks on.
    pub(in crate::cli) fn make(&self, rustc: &Path, purpose: Purpose) -> Result<PathBuf, Failure> {
        let output = self
            .build(rustc, purpose)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| absent(&error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let component = said.lines().find_map(|line| self.component(line));
        match (output.status.success(), component) {
            (true, Some(path)) => Ok(path),
            (true, None) => Err(Failure::refused(format!(
                "cargo made no component of {}",
                self.program
            ))
            .hint("a webtask is a program, src/main.rs, with #[webtask::main]")),
            (false, _) => Err(Failure::refused(format!(
                "{} does not build, see above",
                self.program
            ))),
        }
    }

    /// The files that its last build for `webtask dev` was made of, and those that say how.
    pub(in crate::cli) fn sources(&self) -> Vec<PathBuf> {
        let told = self
            .target
            .join(TARGET)
            .join(DEV)
            .join(format!("{}.d", self.program));
        let told = std::fs::read_to_string(told).unwrap_or_default();
        let mut files = dependencies(&told);
        files.extend([self.manifest.clone(), self.workspace.clone()]);
        files.push(self.directory.join("build.rs"));
        files
    }
}

impl Package {
    fn program(&self, bin: Option<&str>, shown: &str) -> Result<String, Failure> {
        let programs: Vec<_> = self
            .targets
            .iter()
            .filter(|target| target.is_program())
            .collect();
        let names: Vec<_> = programs.iter().map(|target| target.name.as_str()).collect();
        let all = names.join(", ");
        match (bin.or(self.default_run.as_deref()), names.as_slice()) {
            (_, []) => Err(
                Failure::refused(format!("the package in {shown} has no program"))
                    .hint("a webtask is a program, src/main.rs, with #[webtask::main]"),
            ),
            (Some(bin), names) if names.contains(&bin) => Ok(bin.to_owned()),
            (Some(bin), _) => Err(Failure::usage(format!(
                "the package in {shown} has no program {bin:?}"
            ))
            .hint(format!("it has {all}"))),
            (None, [name]) => Ok((*name).to_owned()),
            (None, _) => Err(Failure::usage(format!(
                "the package in {shown} has several programs: {all}"
            ))
            .hint("choose one with --bin")),
        }
    }
}

/// What follows the colon in the first line of a file of dependencies, as make reads it.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let line = text.lines().next().unwrap_or_default();
    let Some((_, list)) = line.split_once(": ") else {
        return Vec::new();
    };
    // A space of a name has a backslash before it.
    let list = list.replace("\\ ", "\0");
    list.split(' ')
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(path.replace('\0', " ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_dependencies_is_read() {
        let read = dependencies("/t/a.wasm: /p/src/a\\ b.rs /p/src/main.rs\n\nother: x\n");
        assert_eq!(
            read,
            [Path::new("/p/src/a b.rs"), Path::new("/p/src/main.rs")]
        );
        assert!(dependencies("").is_empty());
    }

    fn program(names: &[&str], default: Option<&str>, bin: Option<&str>) -> Result<String, String> {
        let target = |name: &&str| Target {
            kind: vec!["bin".to_owned()],
            name: (*name).to_owned(),
        };
        let package = Package {
            default_run: default.map(str::to_owned),
            manifest_path: PathBuf::new(),
            targets: names.iter().map(target).collect(),
        };
        package
            .program(bin, "x")
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn one_program_is_taken_and_of_several_one_is_asked_for() {
        assert_eq!(program(&["a"], None, None).as_deref(), Ok("a"));
        assert_eq!(program(&["a", "b"], Some("b"), None).as_deref(), Ok("b"));
        assert_eq!(
            program(&["a", "b"], Some("b"), Some("a")).as_deref(),
            Ok("a")
        );
        for (names, bin, says) in [
            (&[][..], None, "no program"),
            (
                &["a", "b"],
                None,
                "several programs: a, b; choose one with --bin",
            ),
            (&["a", "b"], Some("c"), "no program \"c\"; it has a, b"),
        ] {
            let error = program(names, None, bin);
            assert!(
                error.as_ref().is_err_and(|error| error.contains(says)),
                "{error:?}"
            );
        }
    }
}
