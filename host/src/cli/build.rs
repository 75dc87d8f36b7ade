//! `webtask build`: a project to a component that can be deployed, and what it needs.

mod cargo;
mod toolchain;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use webtask_host::audit::{Grants, Needs, compare};

pub(super) use self::{
    cargo::{DEV, Project, Purpose},
    toolchain::rustc,
};
use super::{
    Failure,
    audit::{Kind, Subject, component, read_file, to_json},
    declared::{self, Declared},
    print,
    token::hex,
};

/// Build the component of a project
///
/// Finds the compiler for wasm32-wasip2, or sets it up, builds the release profile without names and debug information,
/// and prints where the component is, its size, its SHA-256, and the world that it needs, as `webtask audit` does. What
/// the project's webtask.toml does not grant and the component needs is a warning.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask build
  webtask build --dir greeter --json
  webtask build --debug          with source lines, for backtraces in the log

JSON: {\"path\",\"bytes\",\"sha256\",\"component\": as of `webtask audit --json`,\"missing\":[{\"what\",\"flag\"}]}.
Exit status: 1 if it does not build, or would be refused when it is loaded.")]
pub(crate) struct BuildCommand {
    /// The project's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The program, if the project has several
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// Keep the names of functions and source lines, for backtraces; the component is larger
    #[arg(long)]
    debug: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl BuildCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let project = Project::find(&self.dir, self.bin.as_deref())?;
        let declared = Declared::of(&project.directory)?;
        let purpose = match self.debug {
            true => Purpose::Debug,
            false => Purpose::Release,
        };
        let path = project.make(&rustc(&project.directory)?, purpose)?;
        let built = Built::read(&path)?;
        let missing = built.missing(&declared)?;
        let Needs { sha256, size, .. } = &built.needs;
        let path = path.display().to_string();
        print(if self.json {
            let missing = missing
                .iter()
                .map(|(what, flag)| json!({ "what": what, "flag": flag }));
            let said = json!({
                "path": path,
                "bytes": size,
                "sha256": hex(sha256),
                "component": to_json(&built.subject),
                "missing": missing.collect::<Vec<_>>(),
            });
            format!("{said}\n")
        } else {
            format!(
                "component  {path}\nsize       {} ({size} bytes)\nsha256     {}\n\n{}",
                kibibytes(*size),
                hex(sha256),
                built.subject.to_wit()
            )
        })?;
        for (what, flag) in &missing {
            eprintln!("{}", warning(what, flag.as_deref()));
        }
        built.runs()
    }
}

/// A component that was read.
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) needs: Needs,
    subject: Subject,
}

impl Built {
    /// Reads it. A core module, or what is broken, is refused.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = read_file(path)?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        let subject = component(name, &bytes)?;
        match &subject.kind {
            Kind::Component(needs) => Ok(Self {
                bytes,
                needs: needs.clone(),
                subject,
            }),
            Kind::Token(..) => Err(Failure::refused("a token is no component")),
        }
    }

    /// Whether a runtime would load it.
    pub(super) fn runs(&self) -> Result<(), Failure> {
        match self.needs.refusals().as_slice() {
            [] => Ok(()),
            why => Err(Failure::refused(format!(
                "{} is refused when it is loaded: it {}",
                self.subject.name,
                why.join("; it ")
            ))
            .hint("a webtask has #[webtask::main] above its main, and its crates ask the system for nothing but what the world webtask has")),
        }
    }

    /// What it needs and `declared` does not grant, with the flag that would; not what makes it be refused.
    pub(super) fn missing(
        &self,
        declared: &Declared,
    ) -> Result<Vec<(String, Option<String>)>, Failure> {
        let grants = Grants::of_claims(&declared.without_values()?);
        let missing = compare(&self.needs, &grants).missing.into_iter();
        let granted = missing.filter(|finding| finding.power.is_some());
        Ok(granted
            .map(|finding| (finding.what, finding.flag))
            .collect())
    }
}

/// What a person reads of something that is missing.
pub(super) fn warning(what: &str, flag: Option<&str>) -> String {
    let flag = flag
        .map(|flag| format!("; as a flag: {flag}"))
        .unwrap_or_default();
    format!(
        "warning: needs {what}, which {} does not grant{flag}",
        declared::FILE
    )
}

/// Bytes for a person.
pub(super) fn kibibytes(bytes: usize) -> String {
    match bytes >> 10 {
        kib if kib < 10_000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        kib => format!("{} MiB", kib >> 10),
    }
}
