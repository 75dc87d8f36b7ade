//! `webtask new`: a folder that builds, is tested and runs.

mod sdk;
mod templates;

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;

use self::{
    sdk::Sdk,
    templates::{Files, GITIGNORE, MANIFEST, README, Template},
};
use super::{Failure, print};

/// Letters of the longest name.
const LONGEST: usize = 64;

/// Start a new webtask
///
/// Makes a folder with a program that runs, its tests, a README and `webtask.toml`, which says what the webtask gets. A
/// folder that is there already is left alone.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask new greeter
  webtask new stripe-proxy --template proxy-with-secret
  webtask new greeter --sdk ~/webtask          the SDK of a checkout; or of a git repository, by its URL

Then, in the new folder: webtask dev")]
pub(crate) struct NewCommand {
    /// The folder to make; its last part is the package's name
    name: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = Template::Hello)]
    template: Template,
    /// Where the SDK is: a checkout, the URL of a git repository, or `registry` [default: the checkout that this
    /// command was built from, if it is still there]
    #[arg(long, value_name = "PATH|URL")]
    sdk: Option<String>,
}

impl NewCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let name = self.name.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        let files = self.template.files();
        check(&name, &files)?;
        let sdk = Sdk::of(self.sdk.as_deref())?;
        make(&self.name, &contents(&name, &files, &sdk))?;
        let shown = self.name.display();
        eprintln!("note: {}", sdk.note);
        if !files.env.is_empty() {
            eprintln!("note: put the secrets into {shown}/.env, which git is told to ignore");
        }
        print(format!("made {shown}; now: cd {shown} && webtask dev\n"))
    }
}

/// The rules of cargo for the name of a package, and no name of what the package depends on.
fn check(name: &str, files: &Files) -> Result<(), Failure> {
    const RESERVED: [&str; 10] = [
        "alloc",
        "build",
        "core",
        "deps",
        "examples",
        "incremental",
        "proc-macro",
        "std",
        "test",
        "webtask",
    ];
    let why = |text: &str| {
        let shown: String = name.chars().take(LONGEST).collect();
        Err(
            Failure::usage(format!("{shown:?} is no name for a package: {text}"))
                .hint("use letters, digits, - and _, as in my-webtask"),
        )
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let lower = name.to_ascii_lowercase().replace('_', "-");
    let depends = files
        .dependencies
        .lines()
        .filter_map(|line| line.split_once(" ="));
    match name.chars().next() {
        None => why("it is empty"),
        _ if name.len() > LONGEST => why("it has more than 64 letters"),
        _ if !name.chars().all(plain) => why("it has something else than letters, digits, - and _"),
        Some(first) if !first.is_ascii_alphabetic() => why("it does not begin with a letter"),
        _ if is_keyword(&name.replace('-', "_")) => why("it is a word of Rust"),
        _ if RESERVED.contains(&&*lower) => why("it is reserved"),
        _ if depends
            .into_iter()
            .any(|(other, _)| other.replace('_', "-") == lower) =>
        {
            why("it is the name of a package that it depends on")
        }
        _ => Ok(()),
    }
}

/// Words that no crate can be called.
fn is_keyword(name: &str) -> bool {
    const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
        final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
        super trait true try type typeof unsafe unsized use virtual where while yield";
    WORDS.split(' ').any(|word| word == name)
}

/// The files of the project: path, text, mode.
fn contents(name: &str, files: &Files, sdk: &Sdk) -> Vec<(&'static str, String, u32)> {
    let filled = |text: &str| {
        [
            ("{{name}}", name),
            ("{{sdk}}", &sdk.dependency),
            ("{{dependencies}}", files.dependencies),
            ("{{about}}", files.about),
            ("{{try}}\n", files.attempt),
            ("{{secrets}}", files.secrets),
        ]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let mut contents = vec![
        ("Cargo.toml", filled(MANIFEST), 0o666),
        ("src/main.rs", files.main.to_owned(), 0o666),
        ("webtask.toml", files.declared.to_owned(), 0o666),
        (".gitignore", GITIGNORE.to_owned(), 0o666),
        ("README.md", filled(README), 0o666),
    ];
    if !files.env.is_empty() {
        contents.push((".env", files.env.to_owned(), 0o600));
    }
    contents
}

/// Makes the folder and all that is in it. What is there already is not touched.
fn make(folder: &Path, contents: &[(&str, String, u32)]) -> Result<(), Failure> {
    let shown = folder.display();
    // Not create_dir_all: it succeeds if the folder is there.
    fs::create_dir(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::refused(format!("{shown} exists, and is left as it is"))
                .hint("choose another name, or move it away")
        }
        _ => Failure::usage(format!("cannot make {shown}: {error}")),
    })?;
    let written = contents.iter().try_for_each(|(path, text, mode)| {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(path)?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|error| {
        // All of it was made above.
        drop(fs::remove_dir_all(folder));
        Failure::usage(format!("cannot write into {shown}: {error}"))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_cargo_takes() {
        let hello = Template::Hello.files();
        for name in ["a", "my-webtask", "Greeter_2", "a-", "serde", "types"] {
            assert!(check(name, &hello).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "",
            "2fast",
            "-a",
            "_a",
            "a b",
            "a/b",
            "a.b",
            "ä",
            "fn",
            "async",
            "self",
            "test",
            "core",
            "Std",
            "proc_macro",
            "webtask",
            "deps",
            &long,
        ] {
            assert!(check(name, &hello).is_err(), "{name}");
        }
        assert!(check("serde", &Template::JsonApi.files()).is_err());
        assert!(check("serde_json", &Template::JsonApi.files()).is_err());
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for template in [
            Template::Hello,
            Template::JsonApi,
            Template::ProxyWithSecret,
            Template::Webhook,
        ] {
            let sdk = Sdk::of(Some("registry")).unwrap();
            for (path, text, _) in contents("greeter", &template.files(), &sdk) {
                assert!(!text.contains("{{"), "{template:?} {path}: {text}");
                assert!(
                    !path.ends_with(".toml") || text.parse::<toml::Table>().is_ok(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_filled_is_gone_and_one_that_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("new");
        let twice = [("a", "1".to_owned(), 0o600), ("a", "2".to_owned(), 0o600)];
        assert!(make(&folder, &twice).is_err());
        assert!(!folder.exists());
        let (one, other) = twice.split_at(1);
        make(&folder, one).unwrap();
        assert!(make(&folder, other).is_err());
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1");
    }
}
