//! The audit for programs. Members are added, never renamed.

use serde_json::{Value, json};
use webtask_host::audit::{
    Comparison, Differences, Finding, Grants, Interface, Needs, Power, Standing,
};

use super::subject::{Kind, Subject};
use crate::cli::token::hex;

pub(super) fn subject(subject: &Subject) -> Value {
    let mut value = match &subject.kind {
        Kind::Component(needs) => component(needs),
        Kind::Token(grants, _) => token(grants),
    };
    if let Some(members) = value.as_object_mut() {
        members.insert("name".to_owned(), json!(subject.name));
        members.insert("wit".to_owned(), json!(subject.to_wit()));
    }
    value
}

fn component(needs: &Needs) -> Value {
    json!({
        "kind": "component",
        "bytes": needs.size,
        "sha256": hex(&needs.sha256),
        "runs": needs.refusals().is_empty(),
        "refusals": needs.refusals(),
        "imports": needs.imports.iter().map(import).collect::<Vec<_>>(),
        "other_imports": needs.loose,
        "exports": needs.exports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "secrets": needs.secrets,
    })
}

fn import(interface: &Interface) -> Value {
    let standing = match interface.standing() {
        Standing::Granted => "granted",
        Standing::Always => "always",
        Standing::Nothing => "nothing",
        _ => "absent",
    };
    json!({
        "interface": interface.to_string(),
        "power": interface.power().map(Power::name),
        "standing": standing,
    })
}

fn token(grants: &Grants) -> Value {
    let strings = |list: &[_]| {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    let secrets = grants.secrets.iter().map(|(name, slots)| {
        let slots: Vec<_> = slots.iter().map(ToString::to_string).collect();
        (
            name.clone(),
            json!({ "readable": slots.is_empty(), "slots": slots }),
        )
    });
    json!({
        "kind": if grants.issuer { "issuer" } else { "token" },
        "id": grants.id.map(|id| id.to_string()),
        "tenant": grants.tenant,
        "code": grants.code,
        "sha256": grants.sha256.map(|digest| hex(&digest)),
        "unpinned": grants.unpinned,
        "from": grants.from,
        "until": grants.until,
        "allow": strings(&grants.out),
        "secrets": secrets.collect::<serde_json::Map<_, _>>(),
        "params": grants.params,
        "limits": grants.limits.iter().map(|(name, limit)| (name.to_owned(), json!(limit))).collect::<serde_json::Map<_, _>>(),
        "methods": grants.methods,
        "paths": grants.paths,
        "origins": grants.origins,
        "in_url": grants.in_url,
        "notes": grants.notes,
        "remarks": grants.remarks(),
    })
}

pub(super) fn comparison(comparison: &Comparison) -> Value {
    json!({
        "fits": comparison.fits(),
        "missing": comparison.missing.iter().map(finding).collect::<Vec<_>>(),
        "unused": comparison.unused.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "power": finding.power.map(Power::name),
        "what": finding.what,
        "flag": finding.flag,
    })
}

pub(super) fn differences(differences: &Differences) -> Value {
    json!({ "only_here": differences.only_here, "only_there": differences.only_there })
}
