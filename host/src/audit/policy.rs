//! Policies: a world of WIT as the ceiling of a whole platform.
//!
//! The imports of the world are the interfaces that components may use. Rules in the doc comments say
//! which requests, secrets and limits tokens may have. What is not in it, nobody has: no rule, no request.

use std::collections::BTreeSet;

use webtask_token::{Grant, Limits, SecretClaim, Slot};
use wit_parser::{
    AstItem, UnresolvedPackage, UnresolvedPackageGroup, WorldId, WorldItem, WorldKey,
};

use super::{
    Interface, Power, Standing,
    rules::{Lines, Rule},
};

/// The longest policy that is read, in bytes.
pub(super) const MAX_LEN: usize = 1 << 20;

/// Why a text is not a policy. Each names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A rule, or a line that is neither a rule nor a sentence.
    #[error("{file}, line {line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line in it, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Too long to be a policy.
    #[error("{file} is longer than 1 MiB, and no policy")]
    TooLong {
        /// The file.
        file: String,
    },
    /// Not WIT.
    #[error("{file} is not WIT: {reason}")]
    Wit {
        /// The file.
        file: String,
        /// What the parser said, with the place.
        reason: String,
    },
    /// WIT with another world than a policy has.
    #[error("{file}: {reason}")]
    World {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// A ceiling for all tokens and all components of a platform.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    /// Interfaces that components may use, the same for all versions.
    imports: BTreeSet<(String, String)>,
    pub(super) any_out: bool,
    pub(super) out: Vec<Grant>,
    pub(super) secrets: BTreeSet<String>,
    pub(super) any_slot: bool,
    pub(super) slots: Vec<(String, Slot)>,
    pub(super) limits: Limits,
}

impl Policy {
    /// Reads a policy: WIT whose package has one world. `file` is named in errors.
    ///
    /// # Errors
    /// See [`PolicyError`]. A rule that is not known, or stands where it means nothing, is an error: a
    /// restriction that is not enforced is never ignored.
    pub fn parse(file: &str, text: &str) -> Result<Self, PolicyError> {
        let file = file.to_owned();
        if text.len() > MAX_LEN {
            return Err(PolicyError::TooLong { file });
        }
        let mut lines = Lines::of(&file, text)?;
        let group = UnresolvedPackageGroup::parse(&file, lines.wit()).map_err(|(map, error)| {
            let reason = error.render(&map);
            PolicyError::Wit {
                file: file.clone(),
                reason,
            }
        })?;
        let wrong = |reason: String| PolicyError::World {
            file: file.clone(),
            reason,
        };
        let package = &group.main;
        let mut worlds = package
            .worlds
            .iter()
            .filter(|(id, _)| !is_foreign(package, *id));
        let (Some((_, world)), None) = (worlds.next(), worlds.next()) else {
            return Err(wrong("a policy is a package with one world".to_owned()));
        };
        if !world.includes.is_empty() {
            return Err(wrong(format!(
                "world {} includes another one; write its imports out, so that whoever reads the policy sees all of it",
                world.name
            )));
        }
        let mut policy = Self::nothing(format!("{}/{}", package.name, world.name));
        policy.take(&mut lines, world.docs.contents.as_deref(), None)?;
        for (key, item) in &world.imports {
            let name = name_of(package, key);
            let known = |interface: &Interface| interface.standing() != Standing::Absent;
            let interface = name.parse().ok().filter(known).ok_or_else(|| {
                wrong(format!(
                    "it imports {name}, which this runtime does not have"
                ))
            })?;
            if let WorldItem::Interface { docs, .. } = item {
                policy.take(&mut lines, docs.contents.as_deref(), interface.power())?;
            }
            policy.imports.insert(interface.key());
        }
        lines.finish()?;
        Ok(policy)
    }

    fn nothing(name: String) -> Self {
        Self {
            name,
            imports: BTreeSet::new(),
            any_out: false,
            out: Vec::new(),
            secrets: BTreeSet::new(),
            any_slot: false,
            slots: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Takes the rules of one doc comment: of the world, or of an import of this power.
    fn take(
        &mut self,
        lines: &mut Lines<'_>,
        docs: Option<&str>,
        power: Option<Power>,
    ) -> Result<(), PolicyError> {
        for line in docs.unwrap_or_default().lines() {
            match lines.read(line, power)? {
                Some(Rule::Allow(Some(grant))) => self.out.push(grant),
                Some(Rule::Allow(None)) => self.any_out = true,
                Some(Rule::Bind(Some(slot))) => self.slots.push(slot),
                Some(Rule::Bind(None)) => self.any_slot = true,
                Some(Rule::Limit(limits)) => self.limits = self.limits.lowered(&limits),
                Some(Rule::Secret(name)) => drop(self.secrets.insert(name)),
                None => {}
            }
        }
        Ok(())
    }

    /// The name of its world: `acme:platform/policy`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The limits that no token has more of.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One line about what it allows, for who starts a platform with it.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |any: bool, many: usize| {
            if any {
                "any".to_owned()
            } else {
                many.to_string()
            }
        };
        let limits: Vec<_> = self.limits.iter().map(|(name, _)| name).collect();
        format!(
            "interfaces {}, outbound rules {}, readable secrets {}, bound secrets {}, limits {}",
            self.imports.len(),
            count(self.any_out, self.out.len()),
            count(self.secrets.contains("*"), self.secrets.len()),
            count(self.any_slot, self.slots.len()),
            if limits.is_empty() {
                "none".to_owned()
            } else {
                limits.join(" ")
            },
        )
    }

    /// Why a component that imports `name` may not run; `None` if it may as far as this import goes.
    ///
    /// What gives nothing is never outside: language runtimes import it without being asked.
    pub(crate) fn refuses_import(&self, name: &str) -> Option<String> {
        let Ok(interface) = name.parse::<Interface>() else {
            let shown = crate::text::printable(name, 128);
            return Some(format!(
                "imports {shown:?}, which is no interface that a policy could name"
            ));
        };
        // What is unknown here is refused, too: the linker may be more generous with spellings.
        let gives = interface.standing() != Standing::Nothing;
        (gives && !self.imports.contains(&interface.key())).then(|| {
            format!("imports {interface}, which is outside of the platform's policy {}; its operator would add `import {interface};`", self.name)
        })
    }

    /// The outbound requests that anybody may send; `None` for any.
    pub(crate) fn out(&self) -> Option<&[Grant]> {
        (!self.any_out).then_some(&self.out)
    }

    /// What of a token's secret is left; `None` if nothing is.
    pub(crate) fn keep(&self, name: &str, mut secret: SecretClaim) -> Option<SecretClaim> {
        let readable = self.secrets.contains(name) || self.secrets.contains("*");
        if readable || self.any_slot && !secret.slots.is_empty() {
            return Some(secret);
        }
        let covered = |slot: &Slot| {
            self.slots
                .iter()
                .any(|(of, wide)| of == name && slot.within(wide))
        };
        secret.slots.retain(covered);
        // Without a slot it would be one that the code can read.
        (!secret.slots.is_empty()).then_some(secret)
    }
}

/// True for a world of another package, which stands in the same arena.
fn is_foreign(package: &UnresolvedPackage, id: WorldId) -> bool {
    let mut foreign = package
        .foreign_deps
        .values()
        .flat_map(|items| items.values());
    foreign.any(|(item, _)| matches!(item, AstItem::World(other) if *other == id))
}

/// The import by its whole name; an interface of the policy's own package has none that a component
/// could import.
fn name_of(package: &UnresolvedPackage, key: &WorldKey) -> String {
    let id = match key {
        WorldKey::Name(name) => return name.clone(),
        WorldKey::Interface(id) => id,
    };
    let is = |item: &AstItem| matches!(item, AstItem::Interface(other) if other == id);
    let foreign = package.foreign_deps.iter().find_map(|(of, items)| {
        let (name, _) = items.iter().find(|(_, (item, _))| is(item))?;
        Some(of.interface_id(name))
    });
    foreign.unwrap_or_else(|| "an interface of its own package".to_owned())
}

#[cfg(test)]
mod tests;
