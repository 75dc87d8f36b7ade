//! What a component says that it needs: the names in its custom sections `webtask:secrets`.
//!
//! Reads bytes and nothing else; must not know tokens, and never sees a value.

use std::collections::BTreeSet;

use wasmparser::{Parser, Payload};

/// The custom section: UTF-8 names, each ended by a line feed. Those of all nested modules are joined.
pub(crate) const SECTION: &str = "webtask:secrets";

/// The most names that one component may have.
pub(crate) const MAX_NAMES: usize = 64;

/// Why the needs of a component cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NeedsError {
    /// What holds the section is no WebAssembly.
    #[error("its sections cannot be read")]
    Binary(#[from] wasmparser::BinaryReaderError),
    /// A name that no secret can have.
    #[error(
        "its section {SECTION} has a name that is not 1 to 64 of A-Z a-z 0-9 _ . - and a line feed: {0:?}"
    )]
    Name(String),
    /// Too many names.
    #[error("its section {SECTION} has more than {MAX_NAMES} names")]
    TooMany,
}

/// The secrets that the component `wasm` needs, sorted, each once.
pub(crate) fn of(wasm: &[u8]) -> Result<BTreeSet<String>, NeedsError> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == SECTION
        {
            add(section.data(), &mut names)?;
        }
    }
    Ok(names)
}

fn add(section: &[u8], names: &mut BTreeSet<String>) -> Result<(), NeedsError> {
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        let name = line
            .strip_suffix(b"\n")
            .and_then(|name| std::str::from_utf8(name).ok())
            .filter(|name| webtask_token::is_name(name))
            .ok_or_else(|| NeedsError::Name(shown(line)))?;
        names.insert(name.to_owned());
        if names.len() > MAX_NAMES {
            return Err(NeedsError::TooMany);
        }
    }
    Ok(())
}

fn shown(line: &[u8]) -> String {
    crate::text::printable(&String::from_utf8_lossy(line), 64)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A module, or a component, of custom sections only.
    fn wasm(layer: u8, sections: &[(u8, &[u8])]) -> Vec<u8> {
        let version = [[1, 0, 0, 0], [0x0d, 0, 1, 0]];
        let mut wasm = b"\0asm".to_vec();
        wasm.extend(version.get(usize::from(layer)).unwrap());
        for (id, body) in sections {
            wasm.push(*id);
            let mut size = body.len();
            while size > 0x7f {
                wasm.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
                size >>= 7;
            }
            wasm.push(u8::try_from(size).unwrap());
            wasm.extend(*body);
        }
        wasm
    }

    fn section(text: &str) -> Vec<u8> {
        let name = SECTION.as_bytes();
        [&[u8::try_from(name.len()).unwrap()], name, text.as_bytes()].concat()
    }

    #[test]
    fn names_of_all_layers_are_joined() {
        let inner = wasm(
            0,
            &[(0, &section("stripe-key\nother\n")), (0, b"\x01xstray")],
        );
        let nested = wasm(1, &[(1, &inner), (0, &section("deep\n"))]);
        let outer = wasm(
            1,
            &[
                (0, &section("own\n")),
                (4, &nested),
                (1, &inner),
                (0, &section("")),
            ],
        );
        let names: Vec<_> = of(&outer).unwrap().into_iter().collect();
        assert_eq!(names, ["deep", "other", "own", "stripe-key"]);
        assert!(of(&wasm(1, &[])).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        for text in ["a", "a\nb", "\n", "a b\n", "ä\n", "a\r\n", "a\0\n"] {
            let error = of(&wasm(0, &[(0, &section(text))])).unwrap_err();
            assert!(matches!(error, NeedsError::Name(_)), "{text:?}: {error}");
        }
        let long = format!("{}\n", "n".repeat(65));
        assert!(of(&wasm(0, &[(0, &section(&long))])).is_err());
        let names = |n: usize| (0..n).map(|i| format!("n{i}\n")).collect::<String>();
        let most = wasm(1, &[(0, &section(&names(64))), (0, &section("n0\nn63\n"))]);
        assert_eq!(of(&most).unwrap().len(), MAX_NAMES);
        let more = wasm(1, &[(0, &section(&names(64))), (0, &section("n64\n"))]);
        assert!(matches!(of(&more), Err(NeedsError::TooMany)));
        assert!(of(b"\0asm").is_err() && of(&wasm(1, &[(1, b"x")])).is_err());
    }
}
