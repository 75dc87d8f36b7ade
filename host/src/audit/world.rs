//! The world that a token grants: each import with its sentences and, below them, the rules that a
//! policy is made of.

use std::collections::BTreeSet;

use webtask_token::Grant;

use super::{Grants, Interface, Power, Standing, wit};

impl Grants {
    /// The world that it grants, as WIT. As a policy this text is a ceiling that fits the token exactly.
    #[must_use]
    pub fn to_wit(&self) -> String {
        let mut docs = Vec::new();
        docs.extend(self.id.map(|id| format!("What token {id} grants.")));
        docs.extend(self.about());
        docs.extend(self.remarks().iter().map(|remark| format!("(!) {remark}")));
        docs.extend(self.limits().iter().map(|limit| format!("limit: {limit}")));
        let mut text = wit::Text::world("token", &docs);

        let mut last = None;
        let mut told = BTreeSet::new();
        for (interface, power) in Interface::all() {
            let docs = match power.standing() {
                Standing::Granted => match self.granted(power) {
                    Some(docs) => docs,
                    None => continue,
                },
                Standing::Always if last == Some(power) => Vec::new(),
                Standing::Always => self.always(power),
                _ => continue,
            };
            if last.map(Power::standing) != Some(power.standing()) {
                text.heading(match power.standing() {
                    Standing::Granted => "Granted by the token.",
                    _ => "Always there, within limits.",
                });
            }
            last = Some(power);
            let docs = if told.insert(interface.key()) {
                docs
            } else {
                vec!["The same in WASI 0.3.".to_owned()]
            };
            text.import(&interface, &docs);
        }
        text.heading("What it is for.");
        for handler in Interface::handlers() {
            text.export(&handler, &self.inbound());
        }
        text.finish()
    }

    /// What is said of a power that needs a grant; `None` without one.
    fn granted(&self, power: Power) -> Option<Vec<String>> {
        let mut docs;
        match power {
            Power::OutboundHttp if !self.out.is_empty() => {
                docs = self.outbound();
                docs.extend(
                    self.out
                        .iter()
                        .map(|grant: &Grant| format!("allow: {grant}")),
                );
                let sent = self.slots().filter(|(_, _, granted)| !granted.is_empty());
                docs.extend(sent.map(|(name, slot, _)| format!("bind: {name}={slot}")));
            }
            Power::Secrets if self.readable().next().is_some() => {
                docs = self.reads();
                docs.extend(self.readable().map(|name| format!("secret: {name}")));
            }
            _ => return None,
        }
        Some(docs)
    }

    fn always(&self, power: Power) -> Vec<String> {
        let mut docs = vec![power.sentence().to_owned()];
        if power == Power::Parameters && !self.params.is_empty() {
            let names: Vec<_> = self
                .params
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            docs.push(format!("Has {}.", names.join(", ")));
        }
        docs
    }
}
