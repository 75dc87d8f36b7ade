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
mod caveats;
mod issue;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use webtask_token::{
    AttenuateError, Caveat, Ceiling, Claims, Denied, Error, Keyring, Kind, Limits, Opened,
    attenuate,
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn every_vector_holds() {
    let (mut accepted, mut rejected, mut attenuated) = (0, 0, 0);
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let token = vector["token"].as_str().unwrap();
        if let Some(said) = vector.get("caveat") {
            let (key, found) = match attenuate(token, &caveat(said)) {
                Ok(result) => ("result", result),
                Err(error) => ("error", attenuate_name(&error).to_owned()),
            };
            assert_eq!(vector[key], json!(found), "{}", path.display());
            attenuated += 1;
            continue;
        }
        let keys: Vec<String> = vector["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| format!("[[key]]\nkid = {}\nroot = {}\n", key["kid"], key["root"]))
            .collect();
        let seal = &vector["keys"][0]["kid"];
        let keyring = Keyring::from_toml(&format!("seal = {seal}\n{}", keys.concat())).unwrap();
        let opened = keyring.open(token, vector["now"].as_u64().unwrap());
        let found = match &opened {
            Ok(opened) => found(opened, &vector["expect"]),
            Err(error) => json!({ "error": name(error) }),
        };
        assert_eq!(found, vector["expect"], "{}: {opened:?}", path.display());
        *(if opened.is_ok() {
            &mut accepted
        } else {
            &mut rejected
        }) += 1;
    }
    println!("{accepted} to accept, {rejected} to reject, {attenuated} to attenuate");
    assert!(accepted >= 27 && rejected >= 267 && attenuated >= 17);
}

/// What opening found, in the form of the vectors.
fn found(opened: &Opened, expect: &Value) -> Value {
    let mut found = json!({
        "claims": claims(&opened.claims),
        "kid": opened.kid.as_str(),
        "links": opened.links.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if !opened.caveats.is_empty() {
        found["caveats"] = opened.caveats.iter().map(caveat_json).collect();
    }
    let rights = opened.rights();
    if expect.get("rights").is_some() {
        let lists = rights.out.iter();
        let rates = rights
            .rates
            .iter()
            .map(|(link, rate)| json!([link.to_string(), rate]));
        found["rights"] = json!({
            "exp": rights.exp, "params": rights.params, "lim": limits(&rights.lim),
            "rates": rates.collect::<Vec<_>>(),
            "out": lists.map(|list| list.iter().map(ToString::to_string).collect()).collect::<Vec<Vec<_>>>(),
        });
        if let Some(nbf) = rights.nbf {
            found["rights"]["nbf"] = json!(nbf);
        }
    }
    if let Some(rows) = expect.get("headers").and_then(Value::as_array) {
        let header = |row: &Value| {
            let secret = &opened.claims.secrets[row[0].as_str().unwrap()];
            let slot = &secret.slots[usize::try_from(row[1].as_u64().unwrap()).unwrap()];
            let body = row[2].as_str().unwrap();
            let said = slot.format.render(&secret.value, body.as_bytes());
            json!([row[0], row[1], row[2], said.expose()])
        };
        found["headers"] = rows.iter().map(header).collect();
    }
    for key in ["requests", "outbound"] {
        let Some(asked) = expect.get(key) else {
            continue;
        };
        let answer = |row: &Value| {
            let text = |at: usize| row[at].as_str().unwrap_or_default();
            let mut row = row.clone();
            let verdict = if key == "outbound" {
                let port = u16::try_from(row[3].as_u64().unwrap()).unwrap();
                json!(rights.allows_outbound(text(0), text(1), text(2), port, text(4)))
            } else {
                match rights.allows_request(text(0), text(1)) {
                    Ok(()) if rights.allows_origin(row[2].as_str()) => json!("ok"),
                    Ok(()) => json!("origin"),
                    Err(Denied::Method) => json!("method"),
                    Err(Denied::Path) => json!("path"),
                    Err(_) => panic!("a new denial needs a name here"),
                }
            };
            *row.as_array_mut().unwrap().last_mut().unwrap() = verdict;
            row
        };
        found[key] = asked.as_array().unwrap().iter().map(answer).collect();
    }
    found
}

fn limits(lim: &Limits) -> Value {
    let lim: serde_json::Map<String, Value> = lim
        .iter()
        .map(|(name, limit)| (name.to_owned(), json!(limit)))
        .collect();
    json!(lim)
}

/// A caveat from JSON, as a person would write it.
fn caveat(said: &Value) -> Caveat {
    let mut caveat = Caveat::default();
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    for (key, value) in said.as_object().unwrap() {
        match key.as_str() {
            "exp" => caveat.exp = value.as_u64(),
            "nbf" => caveat.nbf = value.as_u64(),
            "methods" => caveat.methods = Some(texts(value)),
            "path" => caveat.path = Some(value.as_str().unwrap().to_owned()),
            "origins" => caveat.origins = Some(texts(value)),
            "params" => caveat.params = serde_json::from_value(value.clone()).unwrap(),
            "lim" => {
                for (name, limit) in value.as_object().unwrap() {
                    let unit = match name.as_str() {
                        "cpu" | "wall" => "ms",
                        "calls" | "rate" => "",
                        _ => "B",
                    };
                    caveat.lim.set(name, &format!("{limit}{unit}")).unwrap();
                }
            }
            "out" => {
                let grants = texts(value).iter().map(|g| g.parse().unwrap()).collect();
                caveat.out = Some(grants);
            }
            "note" => caveat.note = Some(value.as_str().unwrap().to_owned()),
            key => panic!("{key}"),
        }
    }
    caveat
}

/// And back.
fn caveat_json(caveat: &Caveat) -> Value {
    let grants = |out: &Vec<_>| {
        json!(
            out.iter()
                .map(|grant: &webtask_token::Grant| grant.to_string())
                .collect::<Vec<_>>()
        )
    };
    let fields = [
        ("exp", caveat.exp.map(|exp| json!(exp))),
        ("nbf", caveat.nbf.map(|nbf| json!(nbf))),
        ("methods", caveat.methods.as_ref().map(|m| json!(m))),
        ("path", caveat.path.as_ref().map(|path| json!(path))),
        ("origins", caveat.origins.as_ref().map(|o| json!(o))),
        (
            "params",
            (!caveat.params.is_empty()).then(|| json!(caveat.params)),
        ),
        (
            "lim",
            (caveat.lim != Limits::default()).then(|| limits(&caveat.lim)),
        ),
        ("out", caveat.out.as_ref().map(grants)),
        ("note", caveat.note.as_ref().map(|note| json!(note))),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn ceiling_json(ceiling: &Ceiling) -> Value {
    let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
    let fields = [
        (
            "lim",
            (ceiling.lim != Limits::default()).then(|| limits(&ceiling.lim)),
        ),
        (
            "out",
            list(ceiling.out.iter().map(ToString::to_string).collect()),
        ),
        (
            "via",
            list(ceiling.via.iter().map(|_| "path".to_owned()).collect()),
        ),
        ("life", Some(json!(ceiling.life))),
        ("urls", Some(json!(ceiling.urls))),
        ("params", list(ceiling.params.clone())),
        ("secrets", list(ceiling.secrets.clone())),
        ("unpinned", ceiling.unpinned.then_some(Value::Bool(true))),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn attenuate_name(error: &AttenuateError) -> &'static str {
    match error {
        AttenuateError::Invalid(_) => "Invalid",
        AttenuateError::ParamFixed => "ParamFixed",
        AttenuateError::Token(_) => "Token",
        AttenuateError::TooLong => "TooLong",
        AttenuateError::TooMany => "TooMany",
        _ => panic!("a new error needs a name here and a vector"),
    }
}

fn all() -> Vec<(String, Value)> {
    let mut cases = cases::all();
    cases.extend(caveats::all());
    cases.extend(issue::all());
    cases
}

#[test]
fn the_files_are_what_the_writer_writes() {
    let cases = all();
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
    for (name, vector) in all() {
        let text = serde_json::to_string_pretty(&vector).unwrap() + "\n";
        fs::write(directory().join(format!("{name}.json")), text).unwrap();
    }
}

fn name(error: &Error) -> &'static str {
    match error {
        Error::Expired { .. } => "Expired",
        Error::Malformed(_) => "Malformed",
        Error::NotYetValid { .. } => "NotYetValid",
        Error::ParamFixed { .. } => "ParamFixed",
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
    let issue = match &claims.kind {
        Kind::Issue(ceiling) => Some(ceiling),
        _ => None,
    };
    let fields = [
        ("exp", Some(json!(claims.exp))),
        ("iat", Some(json!(claims.iat))),
        (
            "iss",
            texts(claims.iss.iter().map(ToString::to_string).collect()),
        ),
        (
            "lim",
            (claims.lim != Limits::default()).then(|| limits(&claims.lim)),
        ),
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
        ("url", issue.is_none().then(|| json!(claims.url))),
        ("kind", issue.map(|_| json!("issue"))),
        ("issue", issue.map(|ceiling| ceiling_json(ceiling))),
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
