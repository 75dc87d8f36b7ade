//! What `webtask new` begins with: files of `host/templates`, each compiled and tested by the suite.

use clap::ValueEnum;

/// What a new project is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Template {
    /// Greets: the smallest one
    Hello,
    /// Routes, JSON in and out, errors that say what to mend
    JsonApi,
    /// Lets callers read one API with a key that neither they nor the code can read
    ProxyWithSecret,
    /// Takes signed webhooks and believes no others
    Webhook,
}

/// The files of a template that are its own.
pub(super) struct Files {
    pub(super) about: &'static str,
    pub(super) main: &'static str,
    pub(super) dependencies: &'static str,
    pub(super) declared: &'static str,
    /// Values to begin with, for secrets; empty without any.
    pub(super) env: &'static str,
    pub(super) attempt: &'static str,
    /// Flags that give `webtask token create` the secrets.
    pub(super) secrets: &'static str,
}

/// What all templates share, with `{{…}}` for what a project has of its own.
pub(super) const MANIFEST: &str = include_str!("../../../templates/Cargo.toml.in");
pub(super) const README: &str = include_str!("../../../templates/README.md.in");
pub(super) const GITIGNORE: &str = include_str!("../../../templates/gitignore");

macro_rules! files {
    ($name:literal, $about:literal, $secrets:literal) => {
        Files {
            about: $about,
            main: include_str!(concat!("../../../templates/", $name, "/main.rs")),
            dependencies: include_str!(concat!("../../../templates/", $name, "/dependencies.toml")),
            declared: include_str!(concat!("../../../templates/", $name, "/webtask.toml")),
            env: include_str!(concat!("../../../templates/", $name, "/env")),
            attempt: include_str!(concat!("../../../templates/", $name, "/try.md")),
            secrets: $secrets,
        }
    };
}

impl Template {
    pub(super) fn files(self) -> Files {
        match self {
            Self::Hello => files!("hello", "A webtask that greets whom the path names.", ""),
            Self::JsonApi => files!("json-api", "A webtask with routes that speaks JSON.", ""),
            Self::ProxyWithSecret => files!(
                "proxy-with-secret",
                "A webtask by which callers read one API, with a key that neither they nor this code can read.",
                " --env-file .env"
            ),
            Self::Webhook => files!(
                "webhook",
                "A webtask that takes signed webhooks, and believes no others.",
                " --env-file .env"
            ),
        }
    }
}
