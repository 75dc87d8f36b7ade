//! What a token grants, in the words of a platform owner: a sentence for each power.
//!
//! No sentence begins with a word and a colon: those are the rules of a policy.

use std::net::IpAddr;

use webtask_token::{Grant, Scheme, Slot};

use super::Grants;
use crate::{
    egress::is_public,
    text::{hex, utc},
};

/// A token that lives longer stands out, in seconds.
const LONG: u64 = 90 * 24 * 3600;
impl Grants {
    /// What code, for whom, until when.
    pub(super) fn about(&self) -> Vec<String> {
        let code = self.code.join(", ");
        let mut about = vec![match (&self.sha256, self.issuer) {
            (_, true) => format!("Runs nothing. Mints tokens for {code} that grant at most this."),
            (Some(digest), _) => format!("Runs {code} with SHA-256 {}.", hex(digest)),
            (None, _) => format!("Runs whatever {code} serves."),
        }];
        about.push(format!(
            "Of tenant {}, valid from {} until {}.",
            self.tenant,
            utc(self.from),
            utc(self.until)
        ));
        about.extend(self.notes.iter().map(|note| format!("Note \"{note}\".")));
        about
    }

    /// What the outbound grants and the bound secrets come to.
    pub(super) fn outbound(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for grant in &self.out {
            let carried =
                |(_, slot, _): &(&str, &Slot, Vec<Grant>)| grant.within(&request_of(slot));
            // Where each such request carries a secret there is no line for one without.
            if !self.slots().any(|slot| carried(&slot)) {
                lines.push(format!("May send {}.", request(grant)));
            }
        }
        for (name, slot, granted) in self.slots() {
            let Slot { header, .. } = slot;
            lines.extend(granted.iter().map(|grant| format!(
                "May send {} with secret \"{name}\", which the code cannot read: the runtime writes it into the header {header}.",
                request(grant)
            )));
        }
        lines
    }

    /// What the readable secrets come to.
    pub(super) fn reads(&self) -> Vec<String> {
        let reads = |name| {
            match name {
            "*" => "Can read any secret that a token is minted with, and may send it wherever it may send anything.".to_owned(),
            name => format!("Can read secret \"{name}\", and may send it wherever it may send anything."),
        }
        };
        self.readable().map(reads).collect()
    }

    /// Which requests the token is for.
    pub(super) fn inbound(&self) -> Vec<String> {
        let mut lines = vec![match &self.methods {
            Some(methods) if methods.is_empty() => {
                "Serves nothing: its caveats exclude each other.".to_owned()
            }
            Some(methods) => format!("Serves {} requests.", methods.join(", ")),
            None => "Serves requests of any method.".to_owned(),
        }];
        lines.extend(
            self.paths
                .iter()
                .map(|path| format!("Only the path {path}.")),
        );
        let origins = self.origins.as_ref();
        lines.extend(origins.map(|origins| format!("Only from pages of {}.", origins.join(", "))));
        lines
    }

    /// The limits, as rules of a policy and as flags have them: `memory=64MiB`.
    pub(super) fn limits(&self) -> Vec<String> {
        self.limits
            .iter()
            .map(|(name, limit)| format!("{name}={}", amount(name, limit)))
            .collect()
    }

    /// What a reader should not pass over.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.unpinned {
            remarks.push(
                "The code is not pinned: whoever controls its URL gets all of this.".to_owned(),
            );
        }
        let life = self.until.saturating_sub(self.from);
        if life > LONG {
            remarks.push(format!("It lives for {} days.", life / 86_400));
        }
        if self.in_url {
            remarks.push("It may stand in a URL, which everybody on the way logs.".to_owned());
        }
        for grant in &self.out {
            let Grant {
                methods,
                origin,
                path,
            } = grant;
            if methods.iter().any(|method| method == "*") {
                remarks.push(format!("Any method is allowed to {origin}{path}."));
            }
            if origin.is_wildcard() {
                remarks.push(format!(
                    "{origin} is every server with a name below that one."
                ));
            }
            if origin.scheme() == Scheme::Http {
                remarks.push(format!("Requests to {origin} go in clear text."));
            }
            if is_private(origin.host()) {
                remarks.push(format!("{} is not of the public internet; it is reached only if the platform has opened it.", origin.host()));
            }
        }
        for (name, slot, granted) in self.slots() {
            if granted.is_empty() {
                remarks.push(format!("Secret \"{name}\" is bound to {}, which is not granted: it is never sent there.", request(&request_of(slot))));
            }
        }
        remarks.dedup();
        remarks
    }

    /// All that it grants, a fact each, for a comparison with another token.
    #[must_use]
    pub fn facts(&self) -> Vec<String> {
        let params = self
            .params
            .iter()
            .map(|name| format!("Has the parameter \"{name}\"."));
        let limits = self
            .limits()
            .into_iter()
            .map(|limit| format!("Has the limit {limit}."));
        let mut facts = self.about();
        facts.extend(self.inbound());
        facts.extend(self.outbound());
        facts.extend(self.reads());
        facts.extend(params);
        facts.extend(limits);
        facts.extend(self.remarks());
        facts
    }
}

/// `GET, POST to https://api.example.com/v1/*`
pub(super) fn request(grant: &Grant) -> String {
    let methods = match grant.methods.as_slice() {
        [any] if any == "*" => "any request".to_owned(),
        methods => methods.join(", "),
    };
    format!("{methods} to {}{}", grant.origin, grant.path)
}

/// The requests that a slot is for, as a grant of them.
pub(super) fn request_of(slot: &Slot) -> Grant {
    Grant {
        methods: vec![slot.method.clone()],
        origin: slot.origin.clone(),
        path: slot.path.clone(),
    }
}

/// In the largest unit that divides it.
fn amount(name: &str, limit: u64) -> String {
    let units: &[(u64, &str)] = match name {
        "cpu" | "wall" => &[(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")],
        "calls" | "rate" => &[],
        _ => &[
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
            (1, "B"),
        ],
    };
    let fits = |(unit, _): &&(u64, &str)| *unit == 1 || limit > 0 && limit.is_multiple_of(*unit);
    units.iter().find(fits).map_or_else(
        || limit.to_string(),
        |(unit, name)| format!("{}{name}", limit / unit),
    )
}

fn is_private(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => !host.contains('.') || host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use webtask_token::Limits;

    use super::*;

    #[test]
    fn amounts_read_back() {
        for (name, limit, text) in [
            ("memory", 64 << 20, "64MiB"),
            ("memory", 0, "0B"),
            ("log", 1_500, "1500B"),
            ("wall", 5_000, "5s"),
            ("wall", 90_000, "90s"),
            ("cpu", 200, "200ms"),
            ("calls", 3, "3"),
            ("rate", 60, "60"),
        ] {
            assert_eq!(amount(name, limit), text);
            let mut limits = Limits::default();
            limits.set(name, text).unwrap();
            assert_eq!(limits.iter().collect::<Vec<_>>(), [(name, limit)]);
        }
    }
}
