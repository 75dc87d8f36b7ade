//! One against the other: what is needed and not granted, granted and not needed, here and not there.

use super::{Grants, Needs, Power, words::request};

/// Something that one side has and the other has not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The power; `None` for what has none, such as an import that the runtime does not have.
    pub power: Option<Power>,
    /// What it is, in words.
    pub what: String,
    /// The flag of `webtask token create` that would mend it.
    pub flag: Option<String>,
}

/// A component against a token. See [`compare`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// What the component needs and the token does not grant.
    pub missing: Vec<Finding>,
    /// What the token grants and the component does not need.
    pub unused: Vec<Finding>,
}

impl Comparison {
    /// True if the component has all that it needs.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Holds a component against a token.
///
/// A component says by its imports that it *can* send requests and read secrets. Where it sends them only
/// its code knows, and which secrets it reads only its section `webtask:secrets`, if it has one.
#[must_use]
pub fn compare(needs: &Needs, grants: &Grants) -> Comparison {
    let finding = |power, what: String, flag: Option<String>| Finding { power, what, flag };
    let mut missing: Vec<_> = needs
        .refusals()
        .into_iter()
        .map(|why| finding(None, why, None))
        .collect();
    let mut unused = Vec::new();

    let outbound = Some(Power::OutboundHttp);
    let sends = needs
        .imports
        .iter()
        .find(|import| import.power() == outbound);
    if let Some(import) = sends {
        if grants.out.is_empty() {
            let what = format!("outbound HTTP, by its import {import}");
            missing.push(finding(
                outbound,
                what,
                Some("--allow 'METHODS URL'".to_owned()),
            ));
        } else if grants.limits.calls == Some(0) {
            let what = "outbound HTTP: the limit calls=0 forbids every call".to_owned();
            missing.push(finding(outbound, what, Some("--limit calls=N".to_owned())));
        }
    } else {
        let all = grants
            .out
            .iter()
            .map(|grant| format!("outbound HTTP: {}", request(grant)));
        unused.extend(all.map(|what| finding(outbound, what, None)));
    }

    let secrets = Some(Power::Secrets);
    let any = grants.secrets.contains_key("*");
    for name in needs
        .secrets
        .iter()
        .filter(|name| !any && !grants.secrets.contains_key(*name))
    {
        let flag = Some(format!("--secret-env {name}"));
        missing.push(finding(secrets, format!("the secret \"{name}\""), flag));
    }
    let reads = needs.has(Power::Secrets);
    if reads && needs.secrets.is_empty() && grants.secrets.is_empty() {
        let what = "secrets, by its import webtask:runtime/secrets".to_owned();
        missing.push(finding(secrets, what, Some("--secret-env NAME".to_owned())));
    }
    for (name, slots) in &grants.secrets {
        let named = needs.secrets.is_empty() || needs.secrets.contains(name) || name == "*";
        let usable = if slots.is_empty() {
            reads
        } else {
            sends.is_some()
        };
        if !named || !usable {
            unused.push(finding(secrets, format!("secret \"{name}\""), None));
        }
    }
    if !needs.has(Power::Parameters) {
        let all = grants
            .params
            .iter()
            .map(|name| format!("parameter \"{name}\""));
        unused.extend(all.map(|what| finding(Some(Power::Parameters), what, None)));
    }
    Comparison { missing, unused }
}

/// What one has that the other has not. See [`differences`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Differences {
    /// Facts of the first alone.
    pub only_here: Vec<String>,
    /// Facts of the other alone.
    pub only_there: Vec<String>,
}

/// What of the facts of two components, or of two tokens, only one has.
#[must_use]
pub fn differences(here: &[String], there: &[String]) -> Differences {
    let without = |facts: &[String], others: &[String]| {
        facts
            .iter()
            .filter(|fact| !others.contains(fact))
            .cloned()
            .collect()
    };
    Differences {
        only_here: without(here, there),
        only_there: without(there, here),
    }
}
