//! Revocations: which links of tokens are no longer good, kept in an embedded store.
//!
//! Owns the store and its copy in memory, which is what requests ask. Must not know how a caller proves
//! that it may revoke.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use webtask_token::LinkId;

/// The bytes of a link's id.
type Id = [u8; 16];

/// Tenant and link → the root link of its token, and the Unix second from which no token of it can be
/// valid. By tenant, so that nobody revokes what is another's.
const LINKS: TableDefinition<'_, (&str, Id), (Id, u64)> = TableDefinition::new("links");
/// Tenant → the Unix second; tokens issued before it are refused.
const TENANTS: TableDefinition<'_, &str, u64> = TableDefinition::new("tenants");

/// Links under one root token that may be revoked one by one. Whoever holds a token can make any number
/// of narrower ones, and must not fill the host's memory by revoking each.
const PER_ROOT: usize = 1_000;
/// Links of one tenant: about 16 MiB.
const PER_TENANT: usize = 200_000;

/// A link to revoke.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The tenant of the token.
    pub tenant: String,
    /// The link.
    pub id: LinkId,
    /// The first link of the token.
    pub root: LinkId,
    /// The Unix second from which no token of the link can be valid.
    pub until: u64,
}

/// Why a revocation was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The limit of links is reached.
    #[error(
        "{count} links of this token are revoked already; revoke the token that they come from"
    )]
    Full {
        /// The limit in force.
        count: usize,
    },
    /// The store failed; nothing was revoked.
    #[error("the store of revocations failed")]
    Store(#[source] Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for RevocationError {
    fn from(error: E) -> Self {
        Self::Store(Box::new(error.into()))
    }
}

/// What is revoked on this host.
#[derive(Debug)]
pub struct Revocations {
    known: RwLock<Known>,
    store: Option<Store>,
}

/// The file. After a failed write its library refuses all others, so it is opened again for the next one: a disk that
/// was full for a while takes revocations when it has room again.
#[derive(Debug)]
struct Store {
    path: PathBuf,
    database: Mutex<Option<Database>>,
}

impl Store {
    /// Makes `change` as a whole, on disk when this returns, or not at all.
    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), RevocationError> {
        let mut open = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open.take() {
            Some(database) => database,
            None => Database::create(&self.path)?,
        };
        let write = database.begin_write()?;
        change(&write)?;
        write.commit()?;
        *open = Some(database);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Known {
    links: HashMap<String, HashMap<Id, (Id, u64)>>,
    by_root: HashMap<Id, usize>,
    tenants: HashMap<String, u64>,
}

impl Known {
    fn insert(&mut self, tenant: &str, id: Id, root: Id, until: u64) {
        let links = self.links.entry(tenant.to_owned()).or_default();
        let known = links.get(&id).map(|(_, until)| *until);
        if known.is_none() {
            let count = self.by_root.entry(root).or_default();
            *count = count.saturating_add(1);
        }
        // The same link again counts as long as the longer of the two.
        links.insert(id, (root, until.max(known.unwrap_or(0))));
    }

    /// Forgets the links of `tenant` whose tokens have all expired, and names them.
    fn expire(&mut self, tenant: &str, now: u64) -> Vec<Id> {
        let Some(links) = self.links.get_mut(tenant) else {
            return Vec::new();
        };
        let is_dead = |(_, until): &(Id, u64)| *until <= now;
        let dead: Vec<_> = links
            .iter()
            .filter(|(_, link)| is_dead(link))
            .map(|(id, link)| (*id, link.0))
            .collect();
        for (id, root) in &dead {
            links.remove(id);
            if let Some(count) = self.by_root.get_mut(root) {
                *count = count.saturating_sub(1);
            }
        }
        self.by_root.retain(|_, count| *count > 0);
        dead.into_iter().map(|(id, _)| id).collect()
    }

    /// The limit that stands against one more link.
    fn full(&self, entry: &Revocation) -> Option<usize> {
        let links = self.links.get(&entry.tenant);
        if links.is_some_and(|links| links.contains_key(entry.id.as_bytes())) {
            return None;
        }
        // The root itself makes the others of it superfluous.
        let of_root = self
            .by_root
            .get(entry.root.as_bytes())
            .copied()
            .unwrap_or(0);
        if entry.id != entry.root && of_root >= PER_ROOT {
            return Some(PER_ROOT);
        }
        (links.map_or(0, HashMap::len) >= PER_TENANT).then_some(PER_TENANT)
    }
}

impl Revocations {
    /// Revocations that end with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            known: RwLock::default(),
            store: None,
        }
    }

    /// The revocations in the file at `path`, which is made if it is missing. One process has it at a time.
    pub fn open(path: &Path) -> Result<Self, RevocationError> {
        // For its owner alone: who can write to it can bring tokens back.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path);
        drop(file.map_err(redb::Error::Io)?);
        let store = Database::create(path)?;
        let write = store.begin_write()?;
        write.open_table(LINKS)?;
        write.open_table(TENANTS)?;
        write.commit()?;
        let mut known = Known::default();
        let read = store.begin_read()?;
        for entry in read.open_table(LINKS)?.iter()? {
            let (key, value) = entry?;
            let ((tenant, id), (root, until)) = (key.value(), value.value());
            known.insert(tenant, id, root, until);
        }
        for entry in read.open_table(TENANTS)?.iter()? {
            let (tenant, before) = entry?;
            known
                .tenants
                .insert(tenant.value().to_owned(), before.value());
        }
        drop(read);
        Ok(Self {
            known: RwLock::new(known),
            store: Some(Store {
                path: path.to_owned(),
                database: Mutex::new(Some(store)),
            }),
        })
    }

    /// Whether any of `links` is revoked, or `tenant` revoked everything issued before a time after `iat`.
    pub fn is_revoked<'a>(
        &self,
        links: impl IntoIterator<Item = &'a LinkId>,
        tenant: &str,
        iat: u64,
    ) -> bool {
        let known = self.read();
        let revoked = known.links.get(tenant).is_some_and(|revoked| {
            links
                .into_iter()
                .any(|id| revoked.contains_key(id.as_bytes()))
        });
        revoked
            || known
                .tenants
                .get(tenant)
                .is_some_and(|before| iat < *before)
    }

    /// Revokes a link. Writes to the store and waits for the disk: call it from a blocking thread.
    pub fn revoke(&self, entry: &Revocation, now: u64) -> Result<(), RevocationError> {
        let dead = {
            let mut known = self.write();
            // Only when it matters: looking at every link costs with their number.
            let dead = if known.full(entry).is_some() {
                known.expire(&entry.tenant, now)
            } else {
                Vec::new()
            };
            if let Some(count) = known.full(entry) {
                return Err(RevocationError::Full { count });
            }
            dead
        };
        let Revocation {
            tenant,
            id,
            root,
            until,
        } = entry;
        let (id, root) = (*id.as_bytes(), *root.as_bytes());
        if let Some(store) = &self.store {
            store.change(|write| {
                let mut links = write.open_table(LINKS)?;
                for dead in dead {
                    links.remove((&**tenant, dead))?;
                }
                links.insert((&**tenant, id), (root, *until))?;
                Ok(())
            })?;
        }
        self.write().insert(tenant, id, root, *until);
        Ok(())
    }

    /// Revokes every token of `tenant` that was issued before `before`. A later time replaces an earlier
    /// one, never the other way round. Call it from a blocking thread.
    pub fn cut_off(&self, tenant: &str, before: u64) -> Result<(), RevocationError> {
        if self
            .read()
            .tenants
            .get(tenant)
            .is_some_and(|now| *now >= before)
        {
            return Ok(());
        }
        if let Some(store) = &self.store {
            store.change(|write| {
                write.open_table(TENANTS)?.insert(tenant, before)?;
                Ok(())
            })?;
        }
        let mut known = self.write();
        let now = known.tenants.entry(tenant.to_owned()).or_default();
        *now = before.max(*now);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn id(n: u8) -> LinkId {
        LinkId::from([n; 16])
    }

    fn entry(tenant: &str, id: LinkId, root: LinkId, until: u64) -> Revocation {
        Revocation {
            tenant: tenant.into(),
            id,
            root,
            until,
        }
    }

    #[test]
    fn a_revoked_link_takes_what_is_derived_with_it_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revocations");
        let revocations = Revocations::open(&path).unwrap();
        revocations
            .revoke(&entry("shop", id(2), id(1), 1_000), 10)
            .unwrap();
        revocations.cut_off("acme", 500).unwrap();
        revocations.cut_off("acme", 400).unwrap();
        let check = |revocations: &Revocations| {
            assert!(revocations.is_revoked([&id(1), &id(2), &id(3)], "shop", 0));
            assert!(!revocations.is_revoked([&id(1), &id(3)], "shop", 0));
            assert!(
                !revocations.is_revoked([&id(1), &id(2)], "other", 0),
                "another tenant's link"
            );
            assert!(revocations.is_revoked([&id(1)], "acme", 499));
            assert!(!revocations.is_revoked([&id(1)], "acme", 500));
        };
        check(&revocations);
        assert!(
            Revocations::open(&path).is_err(),
            "one process has the file"
        );
        drop(revocations);
        check(&Revocations::open(&path).unwrap());
    }

    #[test]
    fn entries_die_with_their_tokens_and_one_root_cannot_fill_the_memory() {
        let revocations = Revocations::in_memory();
        let link = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(n as u64 + 1).to_be_bytes());
            LinkId::from(id)
        };
        let revoke = |n, now| revocations.revoke(&entry("shop", link(n), link(0), now + 100), now);
        for n in 1..=PER_ROOT {
            revoke(n, 10).unwrap();
        }
        assert!(matches!(
            revoke(PER_ROOT + 1, 10),
            Err(RevocationError::Full { .. })
        ));
        assert!(revoke(0, 10).is_ok(), "the root itself");
        assert!(revoke(PER_ROOT + 1, 200).is_ok());
        assert_eq!(
            revocations.read().links.get("shop").map(HashMap::len),
            Some(1)
        );
    }
}
