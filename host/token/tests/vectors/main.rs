//! Runs every file of `vectors/`, and writes them.
//!
//! The writer below shares no code with the crate: it is the second implementation of `SPEC.md`. After
//! a change of the format: `cargo test -p webtask-token --test vectors -- --ignored`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cases;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use webtask_token::{Claims, Error, Keyring};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn every_vector_holds() {
    let (mut accepted, mut rejected) = (0, 0);
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let keys: Vec<String> = vector["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| format!("[[key]]\nkid = {}\nroot = {}\n", key["kid"], key["root"]))
            .collect();
        let seal = &vector["keys"][0]["kid"];
        let keyring = Keyring::from_toml(&format!("seal = {seal}\n{}", keys.concat())).unwrap();
        let opened = keyring.open(
            vector["token"].as_str().unwrap(),
            vector["now"].as_u64().unwrap(),
        );
        let found = match &opened {
            Ok(opened) => json!({
                "claims": claims(&opened.claims),
                "kid": opened.kid.as_str(),
                "links": opened.links.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
            Err(error) => json!({ "error": name(error) }),
        };
        assert_eq!(found, vector["expect"], "{}: {opened:?}", path.display());
        *(if opened.is_ok() {
            &mut accepted
        } else {
            &mut rejected
        }) += 1;
    }
    assert!(accepted >= 5 && rejected >= 25, "{accepted} and {rejected}");
}

#[test]
fn the_files_are_what_the_writer_writes() {
    let cases = cases::all();
    for (name, vector) in &cases {
        let path = directory().join(format!("{name}.json"));
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(&file, vector, "{name}");
    }
    assert_eq!(fs::read_dir(directory()).unwrap().count(), cases.len());
}

#[test]
#[ignore = "writes the files of vectors/"]
fn regenerate() {
    for entry in fs::read_dir(directory()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, vector) in cases::all() {
        let text = serde_json::to_string_pretty(&vector).unwrap() + "\n";
        fs::write(directory().join(format!("{name}.json")), text).unwrap();
    }
}

fn name(error: &Error) -> &'static str {
    match error {
        Error::CaveatUnsupported => "CaveatUnsupported",
        Error::Expired { .. } => "Expired",
        Error::Malformed(_) => "Malformed",
        Error::NotYetValid { .. } => "NotYetValid",
        Error::Unauthentic => "Unauthentic",
        Error::UnknownKey => "UnknownKey",
        Error::UnsupportedVersion => "UnsupportedVersion",
        _ => panic!("a new error needs a name here and a vector"),
    }
}

/// The claims in JSON: what is absent is left out, slots and grants in their text form.
fn claims(claims: &Claims) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let texts = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
    let secrets: serde_json::Map<String, Value> = claims
        .secrets
        .iter()
        .map(|(name, secret)| {
            let slots: Vec<String> = secret.slots.iter().map(ToString::to_string).collect();
            (
                name.clone(),
                json!({ "value": secret.value.expose(), "slots": slots }),
            )
        })
        .collect();
    let lim: serde_json::Map<String, Value> = claims
        .lim
        .iter()
        .map(|(name, limit)| (name.to_owned(), json!(limit)))
        .collect();
    let fields = [
        ("exp", Some(json!(claims.exp))),
        ("iat", Some(json!(claims.iat))),
        (
            "iss",
            texts(claims.iss.iter().map(ToString::to_string).collect()),
        ),
        ("lim", (!lim.is_empty()).then(|| json!(lim))),
        ("nbf", claims.nbf.map(|nbf| json!(nbf))),
        (
            "out",
            texts(claims.out.iter().map(ToString::to_string).collect()),
        ),
        (
            "params",
            (!claims.params.is_empty()).then(|| json!(claims.params)),
        ),
        ("secrets", (!secrets.is_empty()).then(|| json!(secrets))),
        ("sha256", claims.sha256.map(|digest| json!(hex(&digest)))),
        ("ten", Some(json!(claims.tenant))),
        ("url", Some(json!(claims.url))),
        (
            "via",
            texts(claims.via.iter().map(|_| "path".to_owned()).collect()),
        ),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
