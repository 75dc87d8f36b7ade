//! `webtask audit`: what components need and what tokens grant, before anything runs.

mod json;
mod subject;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use webtask_host::audit::{Comparison, Differences, Finding, compare, differences};

use self::subject::SubjectText;
pub(super) use self::subject::{Kind, Subject, component, fetch, read_file};
use super::{Failure, keys::read_keyring, print};

/// Show what a component needs, and what a token grants
///
/// Of a component (a file, or a URL) this prints the world that it needs, of a token the world that it
/// grants: WIT that any WIT tool reads, with a sentence for each power. Nothing is run. Names of secrets
/// and of parameters are shown, never a value. With a component and a token it says what is needed and not
/// granted, and what is granted and not needed. What a token grants is also a policy for `webtask serve`.
///
/// Exit status: 1 if the component needs more than it is granted, or would be refused when it is loaded.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask audit charge.wasm
  webtask audit https://code.example.com/charge.wasm
  webtask audit --keys keys.toml \"$TOKEN\"
  webtask audit --keys keys.toml charge.wasm - < token.txt
  webtask audit --keys keys.toml --code \"$TOKEN\"        its own code, fetched from where it says
  webtask audit charge-v2.wasm --against charge-v1.wasm
  webtask audit --keys keys.toml \"$TOKEN\" > platform.wit; webtask serve --policy platform.wit ...

JSON: {\"subjects\":[{\"kind\":\"component\"|\"token\",\"name\",\"wit\",...}]}, with two of them also \"comparison\":
{\"fits\",\"missing\":[{\"power\",\"what\",\"flag\"}],\"unused\":[...]}, with --against also \"against\" and
\"differences\": {\"only_here\":[...],\"only_there\":[...]}.")]
pub(crate) struct AuditCommand {
    /// A component (file or http(s) URL), a token (itself, in a file, or - for stdin), or one of each
    #[arg(value_name = "FILE|URL|TOKEN", required = true, num_args = 1..=2)]
    subjects: Vec<SubjectText>,
    /// The keyring file, without which no token can be read
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: Option<PathBuf>,
    /// Read the code of the token too, from where the token says, and compare
    #[arg(long)]
    code: bool,
    /// Another of the same kind: say what only one of them has
    #[arg(long, value_name = "FILE|URL|TOKEN", conflicts_with = "code")]
    against: Option<SubjectText>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl AuditCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let keyring = self.keys.as_deref().map(read_keyring).transpose()?;
        let keyring = keyring.as_ref();
        let mut subjects = Vec::new();
        for text in &self.subjects {
            subjects.push(text.read(keyring)?);
        }
        if self.code {
            let [token] = subjects.as_slice() else {
                return Err(Failure::usage(
                    "--code takes one token, and reads its code itself",
                ));
            };
            subjects.push(token.code()?);
        }
        let against = self
            .against
            .as_ref()
            .map(|text| text.read(keyring))
            .transpose()?;
        let comparison = match subjects.as_slice() {
            [one, two] => Some(both(one, two)?),
            _ => None,
        };
        let differences = match (&against, subjects.as_slice()) {
            (None, _) => None,
            (Some(other), [one]) => Some(diff(one, other)?),
            _ => return Err(Failure::usage("--against takes the place of a second one")),
        };
        print(if self.json {
            let value = json!({
                "subjects": subjects.iter().map(json::subject).collect::<Vec<_>>(),
                "comparison": comparison.as_ref().map(json::comparison),
                "against": against.as_ref().map(json::subject),
                "differences": differences.as_ref().map(json::differences),
            });
            format!("{}\n", without_nulls(value))
        } else {
            match (&comparison, &differences, &against) {
                (Some(comparison), ..) => compared(comparison, &subjects),
                (_, Some(differences), Some(other)) => differing(differences, &subjects, other),
                _ => subjects.iter().map(Subject::to_wit).collect(),
            }
        })?;
        verdict(&subjects, comparison.as_ref())
    }
}

/// One component and one token, in whichever order.
fn both(one: &Subject, two: &Subject) -> Result<Comparison, Failure> {
    match (&one.kind, &two.kind) {
        (Kind::Component(needs), Kind::Token(grants, _))
        | (Kind::Token(grants, _), Kind::Component(needs)) => Ok(compare(needs, grants)),
        _ => Err(
            Failure::usage("two of a kind are not held against each other")
                .hint("webtask audit ONE --against OTHER says what only one of them has"),
        ),
    }
}

fn diff(here: &Subject, there: &Subject) -> Result<Differences, Failure> {
    match (&here.kind, &there.kind) {
        (Kind::Component(here), Kind::Component(there)) => Ok(differences(&here.facts(), &there.facts())),
        (Kind::Token(here, _), Kind::Token(there, _)) => Ok(differences(&here.facts(), &there.facts())),
        _ => Err(Failure::usage("--against takes two components, or two tokens")
            .hint("webtask audit COMPONENT TOKEN says whether the token grants what the component needs")),
    }
}

/// What makes the command fail: the world is printed all the same.
fn verdict(subjects: &[Subject], comparison: Option<&Comparison>) -> Result<(), Failure> {
    if comparison.is_some_and(|comparison| !comparison.fits()) {
        return Err(Failure::refused(
            "the component needs more than it is granted",
        ));
    }
    let refused = subjects.iter().find_map(|subject| match &subject.kind {
        Kind::Component(needs) if !needs.refusals().is_empty() => Some((subject, needs.refusals())),
        _ => None,
    });
    match refused {
        None => Ok(()),
        Some((subject, why)) => Err(Failure::refused(format!(
            "{} is refused when it is loaded: it {}",
            subject.name,
            why.join("; it ")
        ))),
    }
}

fn compared(comparison: &Comparison, subjects: &[Subject]) -> String {
    let names: Vec<_> = subjects
        .iter()
        .map(|subject| subject.name.as_str())
        .collect();
    let line = |finding: &Finding| match &finding.flag {
        Some(flag) => format!("  {}    grant it with {flag}\n", finding.what),
        None => format!("  {}\n", finding.what),
    };
    let list = |title: &str, findings: &[Finding]| {
        let none = if findings.is_empty() {
            "  nothing\n"
        } else {
            ""
        };
        let lines: String = findings.iter().map(line).collect();
        format!("{title}:\n{none}{lines}")
    };
    format!(
        "{}\n{}{}",
        names.join(" and "),
        list("needed and not granted", &comparison.missing),
        list("granted and not needed", &comparison.unused)
    )
}

fn differing(differences: &Differences, subjects: &[Subject], other: &Subject) -> String {
    let here = subjects.first().map_or("", |subject| subject.name.as_str());
    let list = |name: &str, facts: &[String]| {
        let none = if facts.is_empty() { "  nothing\n" } else { "" };
        let lines: String = facts
            .iter()
            .map(|fact| format!("  {}\n", fact.escape_debug()))
            .collect();
        format!("only {name}:\n{none}{lines}")
    };
    list(here, &differences.only_here) + &list(&other.name, &differences.only_there)
}

/// A component as a member of `subjects`, for other commands.
pub(super) fn to_json(subject: &Subject) -> serde_json::Value {
    json::subject(subject)
}

/// Leaves out the members of an object that are null.
fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}
