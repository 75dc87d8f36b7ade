//! Keys: what they are made of, and the file they are kept in.

use std::cmp::Ordering;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{KeyId, KeyringError};

/// The keys that open tokens, one of which seals them. Key material is wiped when it is dropped.
pub struct Keyring {
    keys: Vec<Key>,
    sealing: usize,
}

impl Keyring {
    /// A keyring of one new key. Without a `kid` it gets eight random hexadecimal digits.
    ///
    /// # Panics
    /// If the operating system has no random bytes: there is nothing to go on with.
    pub fn generate(kid: Option<KeyId>) -> Self {
        Self {
            keys: vec![Key::generate(kid, None)],
            sealing: 0,
        }
    }

    /// Adds a new key, which seals from now on; the others go on opening. Gives its name.
    ///
    /// # Errors
    /// [`KeyringError::Taken`] if a key has this `kid` already.
    ///
    /// # Panics
    /// If the operating system has no random bytes.
    pub fn rotate(&mut self, kid: Option<KeyId>, now: u64) -> Result<&KeyId, KeyringError> {
        if kid
            .as_ref()
            .is_some_and(|kid| self.find(kid.as_str()).is_some())
        {
            return Err(KeyringError::Taken);
        }
        let mut key = Key::generate(kid.clone(), Some(now));
        while self.find(key.kid.as_str()).is_some() {
            // Two random names of eight digits are one in 2^32; a keyring must not have both.
            key = Key::generate(None, Some(now));
        }
        self.sealing = self.keys.len();
        self.keys.push(key);
        Ok(self.sealing_kid())
    }

    /// Takes a key out, and with it every token that it sealed.
    ///
    /// # Errors
    /// [`KeyringError::Seals`] for the sealing key, [`KeyringError::Unknown`] for one that is not here.
    pub fn retire(&mut self, kid: &KeyId) -> Result<(), KeyringError> {
        let place = self.keys.iter().position(|key| key.kid == *kid);
        let place = place.ok_or(KeyringError::Unknown)?;
        match place.cmp(&self.sealing) {
            Ordering::Less => self.sealing -= 1,
            Ordering::Equal => return Err(KeyringError::Seals),
            Ordering::Greater => {}
        }
        drop(self.keys.remove(place));
        Ok(())
    }

    /// Notes when a new key was made, in Unix seconds. Nothing depends on it.
    #[must_use]
    pub fn created_at(mut self, now: u64) -> Self {
        for key in &mut self.keys {
            key.created.get_or_insert(now);
        }
        self
    }

    /// Reads a keyring file.
    ///
    /// # Errors
    /// See [`KeyringError`]; none repeats anything of the text.
    pub fn from_toml(text: &str) -> Result<Self, KeyringError> {
        let file: File = toml::from_str(text).map_err(|error| {
            // Not `error` itself: it quotes the line, and the line may be a root.
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or(text);
            KeyringError::Syntax(before.matches('\n').count() + 1)
        })?;
        let mut keys: Vec<Key> = Vec::new();
        for (place, entry) in (1..).zip(file.key) {
            let kid: KeyId = entry.kid.parse().map_err(|_| KeyringError::KeyId(place))?;
            if keys.iter().any(|key| key.kid == kid) {
                return Err(KeyringError::Duplicate(place));
            }
            let bytes = BASE64URL_NOPAD
                .decode(entry.root.as_bytes())
                .map(Zeroizing::new);
            let root = bytes
                .ok()
                .and_then(|bytes| bytes.as_slice().try_into().ok());
            let root = Zeroizing::new(root.ok_or(KeyringError::Root(place))?);
            keys.push(Key::new(kid, root, entry.created));
        }
        let sealing = keys
            .iter()
            .position(|key| key.kid.as_str() == file.seal)
            .ok_or(KeyringError::Sealing)?;
        Ok(Self { keys, sealing })
    }

    /// Writes a keyring file.
    pub fn to_toml(&self) -> Zeroizing<String> {
        // Room for every key at its longest, so that the text is never moved and left behind.
        let mut text = Zeroizing::new(String::with_capacity(128 * (self.keys.len() + 1)));
        text.push_str(&format!("seal = \"{}\"\n", self.sealing_kid()));
        for key in &self.keys {
            let root = Zeroizing::new(BASE64URL_NOPAD.encode(key.root.as_slice()));
            text.push_str(&format!("\n[[key]]\nkid = \"{}\"\nroot = \"", key.kid));
            text.push_str(&root);
            text.push_str("\"\n");
            if let Some(created) = key.created {
                text.push_str(&format!("created = {created}\n"));
            }
        }
        text
    }

    /// The keys' names, in the order of the file.
    pub fn kids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|key| &key.kid)
    }

    /// When a key was made, in Unix seconds, if that was noted.
    pub fn created(&self, kid: &KeyId) -> Option<u64> {
        self.find(kid.as_str())?.created
    }

    /// The name of the key that seals.
    pub fn sealing_kid(&self) -> &KeyId {
        &self.sealing().kid
    }

    pub(crate) fn sealing(&self) -> &Key {
        self.keys
            .get(self.sealing)
            .expect("a keyring is made with a sealing key")
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid.as_str() == kid)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.kids().collect();
        f.debug_struct("Keyring")
            .field("kids", &kids)
            .field("sealing", self.sealing_kid())
            .finish_non_exhaustive()
    }
}

/// One key and what is derived from it, once.
pub(crate) struct Key {
    pub(crate) kid: KeyId,
    /// `HKDF-SHA256(root, info = "webtask/v1/seal")`
    pub(crate) seal: Zeroizing<[u8; 32]>,
    /// `HKDF-SHA256(root, info = "webtask/v1/chain")`
    pub(crate) chain: Zeroizing<[u8; 32]>,
    root: Zeroizing<[u8; 32]>,
    created: Option<u64>,
}

impl Key {
    fn generate(kid: Option<KeyId>, created: Option<u64>) -> Self {
        let mut root = Zeroizing::new([0; 32]);
        let mut name = [0; 4];
        getrandom::fill(root.as_mut_slice())
            .and_then(|()| getrandom::fill(&mut name))
            .expect("the operating system has random bytes");
        Self::new(kid.unwrap_or_else(|| KeyId::random(name)), root, created)
    }

    fn new(kid: KeyId, root: Zeroizing<[u8; 32]>, created: Option<u64>) -> Self {
        let derive = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            Hkdf::<Sha256>::new(None, root.as_slice())
                .expand(info, key.as_mut_slice())
                .expect("32 bytes are within the 8160 of HKDF-SHA256");
            key
        };
        let (seal, chain) = (derive(b"webtask/v1/seal"), derive(b"webtask/v1/chain"));
        Self {
            kid,
            seal,
            chain,
            root,
            created,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seal: String,
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kid: String,
    root: Zeroizing<String>,
    created: Option<u64>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ROOT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_keyring_is_written_and_read() {
        let text = format!(
            "seal = \"b\"\n\n[[key]]\nkid = \"a\"\nroot = \"{ROOT}\"\ncreated = 5\n\n[[key]]\nkid = \"b\"\nroot = \"{ROOT}\"\n"
        );
        let keyring = Keyring::from_toml(&text).unwrap();
        assert_eq!(*keyring.to_toml(), text);
        assert_eq!(
            keyring.kids().map(KeyId::as_str).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(keyring.sealing_kid().as_str(), "b");
        assert_eq!(keyring.created(&"a".parse().unwrap()), Some(5));
        let new = Keyring::generate(None).created_at(7);
        assert_eq!(new.sealing_kid().as_str().len(), 8);
        assert_eq!(
            *Keyring::from_toml(&new.to_toml()).unwrap().to_toml(),
            *new.to_toml()
        );
        assert_ne!(
            *Keyring::generate(None).to_toml(),
            *Keyring::generate(None).to_toml()
        );
    }

    #[test]
    fn keys_rotate_and_retire() {
        let kid = |text: &str| text.parse::<KeyId>().unwrap();
        let mut keyring = Keyring::generate(Some(kid("a")));
        assert_eq!(keyring.rotate(Some(kid("a")), 5), Err(KeyringError::Taken));
        assert_eq!(keyring.rotate(Some(kid("b")), 5).unwrap().as_str(), "b");
        assert_eq!(keyring.created(&kid("b")), Some(5));
        assert_eq!(keyring.created(&kid("a")), None);
        let third = keyring.rotate(None, 6).unwrap().clone();
        assert_eq!(keyring.retire(&third), Err(KeyringError::Seals));
        assert_eq!(keyring.retire(&kid("c")), Err(KeyringError::Unknown));
        assert_eq!(keyring.kids().count(), 3);
        keyring.retire(&kid("a")).unwrap();
        assert_eq!(*keyring.sealing_kid(), third);
        assert_eq!(keyring.retire(&kid("a")), Err(KeyringError::Unknown));
        let read = Keyring::from_toml(&keyring.to_toml()).unwrap();
        assert_eq!(read.kids().collect::<Vec<_>>(), [&kid("b"), &third]);
        // One that seals and is not the last stays the one that seals.
        let mut keyring = Keyring::from_toml(&format!(
            "seal = \"a\"\n[[key]]\nkid = \"a\"\nroot = \"{ROOT}\"\n[[key]]\nkid = \"b\"\nroot = \"{ROOT}\"\n"
        ))
        .unwrap();
        keyring.retire(&kid("b")).unwrap();
        assert_eq!(*keyring.sealing_kid(), kid("a"));
    }

    #[test]
    fn errors_name_the_place_and_never_the_key() {
        let key = |kid: &str, root: &str| format!("[[key]]\nkid = \"{kid}\"\nroot = \"{root}\"\n");
        let good = key("a", ROOT);
        let short = ROOT.get(..42).unwrap();
        for (text, error) in [
            (
                format!("seal = \"a\"\n{good}{good}"),
                KeyringError::Duplicate(2),
            ),
            (
                format!("seal = \"a\"\n{good}{}", key(ROOT, ROOT)),
                KeyringError::KeyId(2),
            ),
            (
                format!("seal = \"a\"\n{}", key("a", short)),
                KeyringError::Root(1),
            ),
            (
                format!("seal = \"a\"\n{}", key("a", &format!("{ROOT}="))),
                KeyringError::Root(1),
            ),
            (
                format!("seal = \"a\"\n{}", key("a", &format!("{short}9"))),
                KeyringError::Root(1),
            ),
            (format!("seal = \"b\"\n{good}"), KeyringError::Sealing),
            ("seal = \"a\"\n".to_owned(), KeyringError::Sealing),
            (String::new(), KeyringError::Syntax(1)),
            (
                format!("seal = \"a\"\n{good}rotated = 1\n"),
                KeyringError::Syntax(5),
            ),
            (
                format!("seal = \"a\"\n{good}created = \"{ROOT}\"\n"),
                KeyringError::Syntax(5),
            ),
            (
                format!("seal = \"a\"\n{good}root = {ROOT}\n"),
                KeyringError::Syntax(5),
            ),
        ] {
            let found = Keyring::from_toml(&text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!format!("{found} {found:?}").contains(short));
        }
    }
}
