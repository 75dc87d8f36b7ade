//! Credentials of registries: whose they are, and to whom they go.
//!
//! They go to the registry that the file names, and to the place where that registry says that it hands out
//! tokens; never to where a redirect leads. Must not know images.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use url::Url;
use webtask_token::Secret;

use super::{
    LoadError, Worker,
    fetch::{Failure, failed},
    oci::{Place, registry_of},
    origin::{Ask, of_status},
    source::Source,
};

/// The largest answer of whoever hands out tokens.
const ANSWER_BYTES: u64 = 64 << 10;

/// Names and passwords for registries, from a file in the form of docker's `config.json`.
#[derive(Clone, Debug, Default)]
pub struct RegistryAuth(BTreeMap<String, Login>);

/// Base64 of `name:password`, as in the field `authorization`.
#[derive(Clone, Debug)]
struct Login(Secret);

/// Why a text is no such file. Nothing of it is repeated but the names of registries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryAuthError {
    /// It asks for a program that knows the passwords.
    #[error(
        "credentials of {0} are with a helper program, which is not run here; write \"auth\" with base64 of NAME:PASSWORD for it"
    )]
    Helper(String),
    /// Not JSON, or of another form.
    #[error("line {0}: not the form of docker's config.json, an object \"auths\" of registries")]
    Json(usize),
    /// An entry without a name and a password.
    #[error(
        "registry {0} has no \"auth\" with base64 of NAME:PASSWORD, nor \"username\" and \"password\""
    )]
    Login(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl RegistryAuth {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// If it is of another form, or names a registry without a password for it.
    pub fn parse(text: &str) -> Result<Self, RegistryAuthError> {
        let file: File =
            serde_json::from_str(text).map_err(|error| RegistryAuthError::Json(error.line()))?;
        if let Some(registry) = file.cred_helpers.into_keys().next() {
            return Err(RegistryAuthError::Helper(registry));
        }
        let mut logins = BTreeMap::new();
        for (name, entry) in file.auths {
            let login = match (entry.auth, entry.username, entry.password) {
                (Some(auth), _, _) if is_login(&auth) => auth,
                (None, Some(user), Some(password)) if !user.contains(':') => {
                    let pair = Secret::new(format!("{user}:{password}"));
                    drop(Secret::new(password));
                    BASE64.encode(pair.expose().as_bytes())
                }
                _ if file.creds_store.is_some() => return Err(RegistryAuthError::Helper(name)),
                _ => return Err(RegistryAuthError::Login(name)),
            };
            logins.insert(registry(&name), Login(Secret::new(login)));
        }
        Ok(Self(logins))
    }
}

fn is_login(auth: &str) -> bool {
    BASE64.decode(auth.as_bytes()).is_ok_and(|pair| {
        Secret::new(String::from_utf8_lossy(&pair).into())
            .expose()
            .contains(':')
    })
}

/// `https://registry.example.com/v1/`, as older tools write it, is `registry.example.com`.
fn registry(name: &str) -> String {
    let bare = name
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let url = Url::parse(&format!("https://{bare}"));
    url.map_or_else(|_| name.to_owned(), |url| registry_of(&url))
}

/// One pull: what the registry wants to see with each request.
pub(super) struct Session<'a> {
    pub(super) place: &'a Place,
    pub(super) authorization: Option<HeaderValue>,
}

impl<'a> Session<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        Self {
            place,
            authorization: None,
        }
    }
}

/// What a registry asks for: RFC 9110, section 11.6.1.
#[derive(Debug, Eq, PartialEq)]
enum Challenge {
    Basic,
    /// RFC 6750 and the distribution's token authentication: who hands out tokens, and for which service.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
}

impl Worker {
    /// Gets what the registry wants, after it answered 401 with `headers`.
    pub(super) async fn authenticate(
        &self,
        source: &Source,
        session: &mut Session<'_>,
        headers: &HeaderMap,
    ) -> Result<(), Failure> {
        let registry = registry_of(&session.place.base);
        let login = self.origins.registries.0.get(&registry);
        let wanted = || {
            let reason =
                format!("registry {registry} wants credentials; give it some with --registry-auth");
            failed(source, reason)
        };
        let challenge = challenge(headers).ok_or_else(|| {
            failed(
                source,
                "the registry asks neither for Basic nor for Bearer authentication",
            )
        })?;
        let value = match challenge {
            Challenge::Basic => login.ok_or_else(wanted)?.header(source)?,
            Challenge::Bearer { realm, service } => {
                let token = self
                    .token(source, session.place, login, &realm, service)
                    .await?;
                field(source, &format!("Bearer {}", token.expose()))?
            }
        };
        session.authorization = Some(value);
        Ok(())
    }

    /// A token to pull, from where the registry hands them out. Redirects are not followed.
    async fn token(
        &self,
        source: &Source,
        place: &Place,
        login: Option<&Login>,
        realm: &str,
        service: Option<String>,
    ) -> Result<Secret, Failure> {
        let mut url = Url::parse(realm)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .ok_or_else(|| failed(source, "the registry's realm is no URL"))?;
        // A password that was for TLS stays within it.
        if url.scheme() == "http" && place.base.scheme() == "https" {
            return Err(failed(
                source,
                "the registry hands out tokens in clear text",
            ));
        }
        let ranges = self.ranges_of(source, place, &url)?;
        // What is asked for is what is needed, whatever the registry would have asked for.
        let scope = format!("repository:{}:pull", place.repository);
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &scope);
        let mut headers = HeaderMap::new();
        if let Some(login) = login {
            headers.insert(header::AUTHORIZATION, login.header(source)?);
        }
        let ask = Ask {
            url: &url,
            ranges,
            accept: "application/json",
            headers,
        };
        let (response, _) = self.ask(source, ask).await?;
        match response.status().as_u16() {
            200 => {}
            401 | 403 => {
                let reason = "the registry hands out no token for this; see --registry-auth";
                return Err(failed(source, reason));
            }
            _ => return Err(of_status(source, &response)),
        }
        let body = self.body(source, response, ANSWER_BYTES).await;
        let body = body.map_err(|failure| match failure.error {
            LoadError::TooLarge { .. } => failed(source, "the registry's token is too large"),
            _ => failure,
        })?;
        let granted: Option<Granted> = serde_json::from_slice(&body).ok();
        let token = granted.and_then(|granted| granted.token.or(granted.access_token));
        token
            .filter(|token| !token.is_empty())
            .map(Secret::new)
            .ok_or_else(|| failed(source, "the registry handed out no token"))
    }
}

impl Login {
    fn header(&self, source: &Source) -> Result<HeaderValue, Failure> {
        field(source, &format!("Basic {}", self.0.expose()))
    }
}

/// A field's value that no `Debug` shows.
fn field(source: &Source, text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| failed(source, "the registry's token is not one for a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The first challenge that can be met, Bearer before Basic.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        let (scheme, params) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let params = parameters(params);
            let get = |name: &str| {
                let mut of_name = params.iter().filter(|(found, _)| found == name);
                of_name.next().map(|(_, value)| value.clone())
            };
            if let Some(realm) = get("realm") {
                let service = get("service");
                return Some(Challenge::Bearer { realm, service });
            }
        }
    }
    basic
}

/// `name=token` and `name="quoted text"` between commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, '=' | ',')) {
            name.push(c);
        }
        let mut value = String::new();
        if chars.next_if_eq(&'=').is_some() {
            let mut quoted = false;
            while let Some(c) = chars.next_if(|c| quoted || *c != ',') {
                match c {
                    '"' => quoted = !quoted,
                    '\\' if quoted => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
        }
        chars.next_if_eq(&',');
        found.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_dockers_file_and_never_shown() {
        let auth = BASE64.encode(b"ada:s3cr3t");
        let text = format!(
            r#"{{"auths":{{"https://h.test/v1/":{{"auth":"{auth}"}},
            "127.0.0.1:5000":{{"username":"ada","password":"s3cr3t"}}}},"HttpHeaders":{{}}}}"#
        );
        let found = RegistryAuth::parse(&text).unwrap();
        for registry in ["h.test", "127.0.0.1:5000"] {
            assert_eq!(
                found.0.get(registry).unwrap().0.expose(),
                auth,
                "{registry}"
            );
        }
        let shown = format!("{found:?}");
        assert!(
            !shown.contains(&auth) && !shown.contains("s3cr3t"),
            "{shown}"
        );
        for (text, error) in [
            ("", "line 1"),
            ("{\"auths\":\n[]}", "line 2"),
            (r#"{"auths":{"h":{}}}"#, "registry h has no"),
            (r#"{"auths":{"h":{"auth":"s3cr3t"}}}"#, "registry h has no"),
            (
                r#"{"auths":{"h":{"identitytoken":"x"}}}"#,
                "registry h has no",
            ),
            (r#"{"auths":{"h":{}},"credsStore":"x"}"#, "helper program"),
            (r#"{"credHelpers":{"h":"x"}}"#, "helper program"),
        ] {
            let found = RegistryAuth::parse(text).unwrap_err().to_string();
            assert!(
                found.contains(error) && !found.contains("s3cr3t"),
                "{text}: {found}"
            );
        }
    }

    #[test]
    fn a_challenge_is_read_however_it_is_written() {
        let found = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::WWW_AUTHENTICATE, line.parse().unwrap());
            }
            challenge(&headers)
        };
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
            })
        };
        let docker = r#"Bearer realm="https://auth.test/token",service="h.test",scope="repository:a:pull,push""#;
        assert_eq!(
            found(&[docker]),
            bearer("https://auth.test/token", Some("h.test"))
        );
        assert_eq!(
            found(&["Basic realm=x", docker]),
            bearer("https://auth.test/token", Some("h.test"))
        );
        assert_eq!(
            found(&["bearer realm = https://a/t"]),
            bearer("https://a/t", None)
        );
        assert_eq!(found(&["BASIC realm=\"a, b\""]), Some(Challenge::Basic));
        for none in [&["Negotiate"][..], &["Bearer"], &["Bearer service=x"], &[]] {
            assert_eq!(found(none), None);
        }
    }
}
