//! `webtask config`: what a configuration says, before anything runs with it.

mod defaults;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    Failure,
    keys::read_keyring,
    print,
    settings::{Settings, read_config},
};

/// Look at configurations
#[derive(Args, Debug)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckCommand),
    Default(DefaultCommand),
}

/// Read a configuration as `serve` does, and say what it opens
///
/// Reads the file and all that it names: the keyring, policies, directories of code. Prints one line for each
/// thing that lets more happen than the defaults, or looks like a mistake. Nothing is served or written.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask config check webtask.toml

Exit status: 0 it can be served, 1 it cannot, 2 something cannot be read.")]
struct CheckCommand {
    /// The configuration, TOML
    #[arg(value_name = "FILE", default_value = "webtask.toml")]
    file: PathBuf,
}

/// Print every key with its default and what it does, as a configuration
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask config default > webtask.toml")]
struct DefaultCommand {}

impl ConfigCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Check(command) => command.run(),
            Command::Default(DefaultCommand {}) => print(defaults::text()),
        }
    }
}

impl CheckCommand {
    fn run(self) -> Result<(), Failure> {
        let settings = Settings::of(read_config(&self.file)?)?;
        if let Some(keys) = &settings.keys {
            read_keyring(keys)?;
        }
        for file in &settings.ca {
            std::fs::metadata(file)
                .map_err(|error| Failure::usage(format!("ca {}: {error}", file.display())))?;
        }
        let mut said = String::new();
        for remark in settings.remarks() {
            said.push_str(&format!("(!) {remark}\n"));
        }
        said.push_str(&format!("{} can be served\n", self.file.display()));
        print(said)
    }
}
