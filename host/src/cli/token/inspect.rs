//! `webtask token inspect`: what a token says, without a key and with one.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use webtask_token::{
    Caveat, Claims, Error, Inspected, Keyring, Kind, Opened, SecretClaim, inspect,
};

use super::flags::TokenText;
use super::words::{self, grants_json, limits_json, plain};
use super::{hex, now, utc};
use crate::cli::keys::read_keyring;
use crate::cli::{Failure, print};

/// Look into a token
///
/// Without a keyring this shows what anybody can see: which key sealed it, sizes, caveats. With the
/// keyring it shows the claims, with the length of each secret in the place of its value. A token that
/// is over, or not valid yet, is shown all the same, and said to be so.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask token inspect \"$TOKEN\"
  webtask token inspect --keys keys.toml --json < token.txt")]
pub(super) struct Inspect {
    /// The token, or - to read it from stdin
    #[arg(value_name = "TOKEN", default_value = "-", hide_default_value = true)]
    token: TokenText,
    /// The keyring file, to see the claims
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<(), Failure> {
        let token = self.token.read()?;
        let token = token.as_str();
        let outside = inspect(token).map_err(refused)?;
        let inside = match &self.keys {
            Some(path) => Some(open(&read_keyring(path)?, token)?),
            None => None,
        };
        print(if self.json {
            format!("{}\n", to_json(&outside, inside.as_ref()))
        } else {
            let rows = rows(&outside, inside.as_ref());
            rows.iter()
                .map(|(name, value)| format!("{name:10}  {value}\n"))
                .collect()
        })
    }
}

/// An authentic token, and what the clock says to it.
struct Inside {
    opened: Opened,
    status: &'static str,
}

fn open(keyring: &Keyring, token: &str) -> Result<Inside, Failure> {
    let open = |now| keyring.open(token, now);
    let (opened, status) = match open(now()) {
        Err(Error::Expired { exp, .. }) => (open(exp.saturating_sub(1)), "expired"),
        Err(Error::NotYetValid { nbf, .. }) => (open(nbf), "not-yet-valid"),
        other => (other, "valid"),
    };
    Ok(Inside {
        opened: opened.map_err(refused)?,
        status,
    })
}

pub(super) fn refused(error: Error) -> Failure {
    let failure = Failure::refused(error.to_string());
    match error {
        Error::Unauthentic => failure
            .hint("it was cut or changed on its way, or sealed with another key of the same kid"),
        Error::UnknownKey => {
            failure.hint("`webtask token inspect TOKEN` without --keys shows the kid that it needs")
        }
        Error::Malformed(_) => {
            failure.hint("a token begins with wt1. and has no spaces; quote it, and copy all of it")
        }
        _ => failure,
    }
}

fn rows(outside: &Inspected, inside: Option<&Inside>) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("kid", outside.kid.to_string()),
        ("length", format!("{} characters", outside.len)),
        ("sealed", format!("{} bytes", outside.sealed_len)),
        ("caveats", outside.caveats.len().to_string()),
    ];
    for (place, text) in (1..).zip(&outside.caveats) {
        let lines = match Caveat::decode(text) {
            Ok(caveat) => words::caveat(&caveat),
            Err(_) => vec!["not known to this version; the token is refused".to_owned()],
        };
        let numbered = |line| ("caveat", format!("{place}: {line}"));
        rows.extend(lines.into_iter().map(numbered));
    }
    let Some(Inside { opened, status }) = inside else {
        return rows;
    };
    let Claims {
        kind,
        tenant,
        url,
        sha256,
        secrets,
        params,
        out,
        iat,
        nbf,
        exp,
        iss,
        lim,
        via,
    } = &opened.claims;
    rows.push(("id", opened.id.to_string()));
    rows.push(("status", (*status).to_owned()));
    rows.push(("tenant", tenant.clone()));
    if let Kind::Issue(ceiling) = kind {
        rows.push(("kind", "issue: runs nothing, mints tokens".to_owned()));
        rows.extend(words::ceiling(ceiling));
    } else {
        rows.push(("url", plain(url)));
        rows.push((
            "sha256",
            sha256.map_or(
                "none: unpinned, runs whatever the URL serves".to_owned(),
                |digest| hex(&digest),
            ),
        ));
    }
    rows.push(("issued", utc(*iat)));
    rows.extend(nbf.map(|nbf| ("not before", utc(nbf))));
    rows.push(("expires", utc(*exp)));
    rows.extend(
        secrets
            .iter()
            .map(|(name, secret)| ("secret", format!("{name} {}", describe(secret)))),
    );
    rows.extend(
        params
            .iter()
            .map(|(name, value)| ("param", format!("{name}={}", plain(value)))),
    );
    rows.extend(out.iter().map(|grant| ("allow", grant.to_string())));
    rows.extend(words::limits(lim).into_iter().map(|limit| ("limit", limit)));
    rows.extend(via.iter().map(|_| ("via", "path".to_owned())));
    rows.extend(iss.iter().map(|link| ("issuer", link.to_string())));
    rows
}

fn describe(secret: &SecretClaim) -> String {
    let slots: Vec<String> = secret.slots.iter().map(ToString::to_string).collect();
    let len = secret.value.expose().len();
    match slots.as_slice() {
        [] => format!("({len} bytes, readable)"),
        slots => format!("({len} bytes, bound to {})", slots.join(", and to ")),
    }
}

fn to_json(outside: &Inspected, inside: Option<&Inside>) -> Value {
    let mut value = json!({
        "kid": outside.kid.as_str(),
        "length": outside.len,
        "sealed_bytes": outside.sealed_len,
        "caveats": outside.caveats.iter().map(|text| match Caveat::decode(text) {
            Ok(caveat) => words::caveat_json(&caveat),
            Err(_) => Value::Null,
        }).collect::<Vec<_>>(),
    });
    if let (Some(Inside { opened, status }), Some(fields)) = (inside, value.as_object_mut()) {
        let links: Vec<String> = opened.links.iter().map(ToString::to_string).collect();
        fields.insert("id".to_owned(), json!(opened.id.to_string()));
        fields.insert("links".to_owned(), json!(links));
        fields.insert("status".to_owned(), json!(status));
        fields.insert("claims".to_owned(), claims_json(&opened.claims));
    }
    value
}

fn claims_json(claims: &Claims) -> Value {
    let secrets: Map<String, Value> = claims
        .secrets
        .iter()
        .map(|(name, secret)| {
            let slots: Vec<String> = secret.slots.iter().map(ToString::to_string).collect();
            (
                name.clone(),
                json!({ "bytes": secret.value.expose().len(), "slots": slots }),
            )
        })
        .collect();
    let issue = match &claims.kind {
        Kind::Issue(ceiling) => Some(words::ceiling_json(ceiling)),
        _ => None,
    };
    json!({
        "kind": if issue.is_some() { "issue" } else { "run" },
        "issue": issue,
        "tenant": claims.tenant,
        "url": Some(&claims.url).filter(|url| !url.is_empty()),
        "sha256": claims.sha256.map(|digest| hex(&digest)),
        "secrets": secrets,
        "params": claims.params,
        "out": grants_json(&claims.out),
        "iat": claims.iat,
        "nbf": claims.nbf,
        "exp": claims.exp,
        "iss": claims.iss.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "lim": limits_json(&claims.lim),
        "via": claims.via.iter().map(|_| "path").collect::<Vec<_>>(),
    })
}
