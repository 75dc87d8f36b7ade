//! URLs that were permitted before, beside the code that they are for. What platform and tenants allow stays as it is
//! while a host runs, and most requests name a URL that was named a moment ago: to read it again would take as long as
//! to open its token.

use std::sync::{Arc, PoisonError, RwLock};

use super::Asker;
use crate::tenant::Ceiling;

/// URLs of one component that are remembered, 64 KiB at the most: of tenants with a ceiling of their own each one. Beyond
/// it they are asked for again.
const URLS: usize = 32;

/// Pairs of a ceiling and a URL that was permitted under it.
#[derive(Default)]
pub(crate) struct Permitted(RwLock<Vec<(Arc<Ceiling>, Box<str>)>>);

impl Permitted {
    /// Whether `url` was permitted. False says nothing.
    pub(super) fn has(&self, url: &str, by: &Asker) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.iter();
        known.any(|(ceiling, known)| Arc::ptr_eq(ceiling, &by.ceiling) && **known == *url)
    }

    pub(super) fn add(&self, url: &str, by: &Asker) {
        if self.has(url, by) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= URLS {
            known.remove(0);
        }
        known.push((by.ceiling.clone(), url.into()));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{Limits, Tenants, tenant::Ceilings};

    #[test]
    fn what_was_permitted_is_known_of_that_url_and_ceiling_alone() {
        let ceilings = || Ceilings::new(Tenants::default(), &Limits::default(), None);
        let by = |ceilings: &Ceilings, name: &str| {
            let (tenant, ceiling) = ceilings.of(name).unwrap();
            Asker {
                tenant,
                root: [0; 16].into(),
                ceiling,
            }
        };
        let (some, others) = (ceilings(), ceilings());
        let permitted = Permitted::default();
        permitted.add("https://h/a", &by(&some, "a"));
        permitted.add("https://h/a", &by(&some, "a"));
        // Tenants that the configuration does not name have one ceiling.
        assert!(permitted.has("https://h/a", &by(&some, "b")));
        assert!(!permitted.has("https://h/b", &by(&some, "a")));
        assert!(!permitted.has("https://h/a", &by(&others, "a")));
        for n in 1..=URLS {
            permitted.add(&format!("https://h/a?{n}"), &by(&some, "a"));
        }
        assert!(!permitted.has("https://h/a", &by(&some, "a")));
        assert!(permitted.has("https://h/a?1", &by(&some, "a")));
        assert_eq!(permitted.0.read().unwrap().len(), URLS);
    }
}
