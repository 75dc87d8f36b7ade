//! Files of secrets in the manner of `.env`: a line each, name and value. No failure here shows a value.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use webtask_token::{Secret, SecretClaim};

use super::{Failure, keys::read_text};

/// The longest file that is read, in bytes: tokens hold less.
const MAX_LEN: u64 = 64 << 10;
/// Letters of the longest name, as in tokens.
const LONGEST: usize = 64;

/// Secrets by name.
pub(super) type Secrets = BTreeMap<String, Secret>;

/// Reads `path`, if git does not see it.
pub(super) fn read(path: &Path) -> Result<Secrets, Failure> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    hidden_from_git(path)?;
    let text = read_text(file, MAX_LEN)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    parse(text.expose()).map_err(|(line, what)| {
        Failure::refused(format!("{shown}, line {line}: {what}"))
            .hint("a line is NAME=VALUE; a value may stand in '…' as it is, or in \"…\" with \\n, \\\" and \\\\")
    })
}

/// Those of `secrets` that are named, readable so far, and the names of the others.
pub(super) fn named<'a>(
    mut secrets: Secrets,
    names: impl IntoIterator<Item = &'a String>,
) -> (BTreeMap<String, SecretClaim>, Vec<String>) {
    let claim = |value| SecretClaim {
        value,
        slots: Vec::new(),
    };
    let named = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), claim(secrets.remove(name)?))))
        .collect();
    (named, secrets.into_keys().collect())
}

/// The lines; the error is a line's number and what is wrong there.
fn parse(text: &str) -> Result<Secrets, (usize, &'static str)> {
    let mut secrets = Secrets::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let wrong = |what| (number + 1, what);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line.split_once('=').ok_or(wrong("it has no ="))?;
        let name = name.trim();
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !(1..=LONGEST).contains(&name.len()) || !name.chars().all(of_a_name) {
            return Err(wrong("a name is 1 to 64 of [A-Za-z0-9_.-]"));
        }
        let value = value(rest.trim()).map_err(wrong)?;
        if secrets
            .insert(name.to_owned(), Secret::new(value))
            .is_some()
        {
            return Err(wrong("the name has a value before"));
        }
    }
    Ok(secrets)
}

/// A value with its quotes, and maybe a comment after it.
fn value(text: &str) -> Result<String, &'static str> {
    let (value, rest) = match text.chars().next() {
        Some('\'') => {
            let inner = text.strip_prefix('\'').unwrap_or_default();
            let (value, rest) = inner.split_once('\'').ok_or("the ' is not closed")?;
            (value.to_owned(), rest)
        }
        Some('"') => quoted(text)?,
        // A # is a part of a password, unless a space is before it.
        _ => {
            let comment = text.match_indices('#').map(|(at, _)| at).find(|at| {
                let before = text.get(..*at).unwrap_or_default();
                before.is_empty() || before.ends_with([' ', '\t'])
            });
            let value = text
                .get(..comment.unwrap_or(text.len()))
                .unwrap_or_default();
            return Ok(value.trim_end().to_owned());
        }
    };
    let rest = rest.trim_start();
    match rest.is_empty() || rest.starts_with('#') {
        true => Ok(value),
        false => Err("something follows the closing quote"),
    }
}

/// What stands between double quotes, and what follows.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, c @ ('\\' | '"' | '$'))) => c,
                _ => return Err("after a \\ in double quotes stands n, r, t, \\, \" or $"),
            }),
            c => value.push(c),
        }
    }
    Err("the \" is not closed")
}

/// Refuses a file that git would take into a commit, or has taken: by its name and, if it is a link, where it is.
fn hidden_from_git(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot look at {}: {error}", path.display()))
    };
    let target = path.canonicalize().map_err(failed)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent
        .unwrap_or(Path::new("."))
        .canonicalize()
        .map_err(failed)?;
    let here = parent.join(path.file_name().unwrap_or_default());
    for file in [here, target] {
        one_hidden(&file)?;
    }
    Ok(())
}

fn one_hidden(file: &Path) -> Result<(), Failure> {
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let Some(top) = parent.ancestors().find(|above| above.join(".git").exists()) else {
        return Ok(());
    };
    let ignored = Command::new("git")
        .arg("-C")
        .arg(parent)
        // Those of a hook, or of whoever started this, are of another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        // Tracked files are not ignored, whatever .gitignore says.
        .args(["check-ignore", "-q", "--"])
        .arg(name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output();
    let shown = file.display();
    match ignored.as_ref().map(|output| output.status.code()) {
        Ok(Some(0)) => Ok(()),
        Ok(Some(1)) => Err(Failure::refused(format!(
            "{shown} holds secrets, and git would take it into the next commit, or has it already"
        ))
        .hint(advice(parent, name.as_ref()))),
        _ => {
            let said =
                ignored.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
            let said = said.unwrap_or_else(|error| error.to_string());
            Err(Failure::refused(format!(
                "{shown} holds secrets, and git cannot tell whether it ignores it in {}: {}",
                top.display(),
                said.escape_debug()
            ))
            .hint("keep the file outside of the work tree, and name it with --env-file"))
        }
    }
}

/// The command to type, from wherever the person is.
fn advice(parent: &Path, name: &Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let ignore = match here.is_ok_and(|here| here == parent) {
        true => PathBuf::from(".gitignore"),
        false => parent.join(".gitignore"),
    };
    let (name, ignore) = (name.display(), ignore.display());
    format!("echo {name} >> {ignore}; and if git has it already: git rm --cached {name}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<String, (usize, &'static str)> {
        let read = parse(line)?;
        Ok(read.values().map(Secret::expose).collect())
    }

    #[test]
    fn values_are_plain_or_quoted() {
        for (line, value) in [
            ("a=b", "b"),
            ("export a = b ", "b"),
            ("a=", ""),
            ("a=b # comment", "b"),
            ("a=# comment", ""),
            ("a=p#ss=w$rd", "p#ss=w$rd"),
            ("a='it # is \\n' # so", "it # is \\n"),
            (r#"a="x\n\"\\\$ # y""#, "x\n\"\\$ # y"),
            ("a=\"ä\"", "ä"),
            ("\u{feff}a=b\r\n", "b"),
            ("# c\n\n a.b-c_1 = d\n", "d"),
        ] {
            assert_eq!(one(line).as_deref(), Ok(value), "{line}");
        }
    }

    #[test]
    fn failures_have_the_line_and_never_a_value() {
        for (text, line) in [
            ("CANARY", 1),
            ("a=b\n\n=CANARY", 3),
            ("a b=CANARY", 1),
            ("a=CANARY\na=CANARY", 2),
            ("a='CANARY", 1),
            ("a=\"CANARY", 1),
            ("a=\"\\CANARY\"", 1),
            ("a='CANARY' CANARY", 1),
            ("ä=CANARY", 1),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.0, line, "{text}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        std::fs::write(&path, "ok=CANARY\nCANARY").unwrap();
        let failure = format!("{:?}", read(&path).unwrap_err());
        assert!(
            failure.contains("line 2") && !failure.contains("CANARY"),
            "{failure}"
        );
        std::fs::write(&path, "a=CANARY").unwrap();
        assert!(!format!("{:?}", read(&path).unwrap()).contains("CANARY"));
    }

    #[test]
    fn only_what_is_named_is_taken() {
        let secrets = parse("a=1\nb=2").unwrap();
        let (named, others) = named(secrets, &["a".to_owned(), "c".to_owned()]);
        assert_eq!(named.into_keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(others, ["b"]);
    }
}
