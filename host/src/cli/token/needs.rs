//! `webtask token create`: the audit of the code before its token is made.

use webtask_host::{
    audit::{Grants, Needs, compare},
    chain,
};
use webtask_token::Claims;

use super::source::Source;
use crate::cli::{
    Failure,
    audit::{fetch, read_file},
};

/// Warns of what the code needs and `claims` do not grant, with the flag that would; if `strict`, refuses.
///
/// Without it, code that is not on this machine is not looked at: a token can be made for code that is
/// out of reach from here.
pub(super) fn check(code: &Source, claims: &Claims, strict: bool) -> Result<(), Failure> {
    let (name, bytes) = match &code.file {
        Some(path) => (path.display().to_string(), read_file(path)),
        None if strict => (code.url.clone(), fetch(&code.url)),
        None => return Ok(()),
    };
    let name = name.escape_debug();
    let problems = match bytes {
        Ok(bytes) => problems(&bytes, claims, strict),
        Err(failure) if strict => return Err(failure),
        Err(_) => return Ok(()),
    };
    match problems {
        problems if problems.is_empty() => Ok(()),
        problems if strict => {
            let problems = problems.join("\n  ");
            Err(Failure::refused(format!(
                "no token made for {name}:\n  {problems}"
            )))
        }
        problems => {
            for problem in problems {
                eprintln!("warning: {name}: {problem}");
            }
            Ok(())
        }
    }
}

fn problems(bytes: &[u8], claims: &Claims, strict: bool) -> Vec<String> {
    let needs = match Needs::of(bytes) {
        Ok(needs) if claims.sha256.is_none_or(|pinned| pinned == needs.sha256) => needs,
        Ok(_) if strict => return vec!["it is not the code that the digest names".to_owned()],
        // The code that the digest names is somewhere else.
        Ok(_) => return Vec::new(),
        Err(error) => return vec![format!("no runtime will run it: {}", chain(&error))],
    };
    let missing = compare(&needs, &Grants::of_claims(claims)).missing;
    let words = missing.into_iter().map(|finding| match finding.flag {
        Some(flag) => format!(
            "needs {}, which is not granted; grant it with {flag}",
            finding.what
        ),
        None => format!(
            "no runtime of this version will run it: it {}",
            finding.what
        ),
    });
    words.collect()
}
