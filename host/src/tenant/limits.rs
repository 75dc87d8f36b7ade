//! Limits of a tenant: some of the platform's, lower.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::Limits;

/// The keys that a table `[tenants.NAME.limits]` has, with their values in the place of the platform's.
#[derive(Clone, Debug, Default)]
pub struct TenantLimits(BTreeMap<&'static str, toml::Value>);

/// Defines which limits are of one run, and so may be lower for a tenant.
macro_rules! per_run {
    ($($key:literal $field:ident)*) => {
        const PER_RUN: &[&str] = &[$($key),*];

        /// `platform` with the fields of these keys as `own` has them.
        fn lower(platform: &Limits, own: &Limits, is_set: impl Fn(&str) -> bool) -> Result<Limits, String> {
            let mut lowered = platform.clone();
            $(if is_set($key) {
                if own.$field > platform.$field {
                    return Err(raised($key, &own.$field, &platform.$field));
                }
                lowered.$field = own.$field.clone();
            })*
            Ok(lowered)
        }
    };
}

per_run! {
    "wall" wall
    "cpu" cpu
    "memory" memory
    "table-elements" table_elements
    "instances" instances
    "memories" memories
    "tables" tables
    "hostcall-bytes" hostcall_bytes
    "resources" resources
    "header-bytes" header_bytes
    "random-bytes" random_bytes
    "request-bytes" request_bytes
    "response-bytes" response_bytes
    "calls" calls
    "concurrent-calls" concurrent_calls
    "outbound-bytes" outbound_bytes
    "outbound-total" outbound_total
    "signed-bytes" signed_bytes
    "connect" connect
    "log-lines" log_lines
    "log-bytes" log_bytes
}

fn raised(key: &str, own: &dyn fmt::Debug, platform: &dyn fmt::Debug) -> String {
    format!(
        "{key} = {own:?} is above the platform's {platform:?}; a tenant's limits only go below. Lower it, or raise {key} in [limits]"
    )
}

impl TenantLimits {
    /// The limits of the platform, lowered to these.
    pub(super) fn over(&self, platform: &Limits) -> Result<Limits, String> {
        let table = self
            .0
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let own = toml::Value::Table(table.collect()).try_into::<Limits>();
        let own = own.map_err(|error| error.message().to_owned())?;
        lower(platform, &own, |key| self.0.contains_key(key))
    }
}

/// A key of the table: an unknown one is an error at its own place.
struct Key(&'static str);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let known = PER_RUN.iter().find(|known| **known == name);
        known
            .map(|known| Self(known))
            .ok_or_else(|| D::Error::unknown_field(&name, PER_RUN))
    }
}

impl<'de> Deserialize<'de> for TenantLimits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = TenantLimits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of limits")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TenantLimits, A::Error> {
                let mut limits = TenantLimits::default();
                while let Some(Key(key)) = map.next_key()? {
                    limits.0.insert(key, map.next_value()?);
                }
                Ok(limits)
            }
        }
        from.deserialize_map(Table)
    }
}
