//! How a request carries its token: taken out of the request and removed, so that no guest sees it.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::PathAndQuery};

use crate::Error;

/// The header that carries a token beside an `authorization` meant for the guest.
const WEBTASK_TOKEN: HeaderName = HeaderName::from_static("webtask-token");

/// Where the token stood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carrier {
    /// `Authorization: Bearer` or `Webtask-Token`.
    Header,
    /// `/t/{token}/…`, only for a token that allows it.
    Path,
}

/// Takes the token out of `request` and leaves what the guest is to see: its own path, no token, none
/// of the host's header fields.
pub(crate) fn take<B>(request: &mut Request<B>) -> Result<(String, Carrier), Error> {
    let path = request.uri().path();
    let (token, rest) = if let Some(rest) = path.strip_prefix("/run") {
        (None, rest.to_owned())
    } else if let Some(rest) = path.strip_prefix("/t/") {
        let (token, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (Some(token.to_owned()), rest.to_owned())
    } else {
        return Err(Error::NotFound);
    };
    if !(rest.is_empty() || rest.starts_with('/')) {
        return Err(Error::NotFound);
    }
    *request.uri_mut() = below(request.uri(), &rest)?;
    let from_header = from_headers(request.headers_mut())?;
    drop_own(request.headers_mut());
    let (token, carrier) = match token {
        Some(token) => (token, Carrier::Path),
        None => (from_header.ok_or(Error::TokenMissing)?, Carrier::Header),
    };
    forget(request.headers_mut(), &token);
    Ok((token, carrier))
}

/// Drops the host's own fields, `webtask-*`: a caller cannot send them to a guest, and a guest cannot
/// speak for the host.
pub(crate) fn drop_own(headers: &mut HeaderMap) {
    drop_fields(headers, |name, _| name.as_str().starts_with("webtask-"));
}

fn drop_fields(headers: &mut HeaderMap, which: impl Fn(&HeaderName, &HeaderValue) -> bool) {
    let dropped = headers.iter().filter(|(name, value)| which(name, value));
    let names: Vec<HeaderName> = dropped.map(|(name, _)| name.clone()).collect();
    for name in names {
        headers.remove(name);
    }
}

/// Drops every field that repeats the token: a `referer`, say, of a page whose URL carried it.
fn forget(headers: &mut HeaderMap, token: &str) {
    if token.is_empty() {
        return;
    }
    let token = token.as_bytes();
    drop_fields(headers, |_, value| {
        value
            .as_bytes()
            .windows(token.len())
            .any(|part| part == token)
    });
}

/// The token that a call of the host's own interface presents.
pub(crate) fn presented(headers: &mut HeaderMap) -> Result<String, Error> {
    from_headers(headers)?.ok_or(Error::TokenMissing)
}

/// The token of the header fields, which are removed; an `authorization` that carries none stays.
fn from_headers(headers: &mut HeaderMap) -> Result<Option<String>, Error> {
    let text = |value: &HeaderValue| {
        value
            .to_str()
            .map(str::to_owned)
            .map_err(|_| malformed("the token is not text"))
    };
    let named = {
        let mut named = headers.get_all(&WEBTASK_TOKEN).iter();
        let first = named.next().map(text);
        if named.next().is_some() {
            return Err(malformed("two webtask-token fields"));
        }
        first.transpose()?
    };
    let bearer = {
        let mut all = headers
            .get_all(header::AUTHORIZATION)
            .iter()
            .filter_map(|value| bearer(value.as_bytes()));
        let first = all.next().map(|token| {
            String::from_utf8(token.to_vec()).map_err(|_| malformed("the token is not text"))
        });
        if all.next().is_some() {
            return Err(malformed("two authorization fields with a token"));
        }
        first.transpose()?
    };
    if named.is_some() {
        headers.remove(&WEBTASK_TOKEN);
    }
    // With a Webtask-Token, any other credential is the guest's; a second token is nobody's.
    let is_token = bearer
        .as_deref()
        .is_some_and(|token| token.starts_with("wt1."));
    if is_token || (named.is_none() && bearer.is_some()) {
        headers.remove(header::AUTHORIZATION);
    }
    Ok(named.or(bearer))
}

/// The credentials of a `Bearer` field; the scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let spaced = rest.first().is_some_and(|c| matches!(c, b' ' | b'\t'));
    (scheme.eq_ignore_ascii_case(b"bearer") && spaced).then(|| rest.trim_ascii())
}

fn malformed(what: &'static str) -> Error {
    Error::Token(webtask_token::Error::Malformed(what))
}

/// `uri` with `path` as its path and the query it had.
fn below(uri: &Uri, path: &str) -> Result<Uri, Error> {
    let path = if path.is_empty() { "/" } else { path };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(
        PathAndQuery::try_from(target).map_err(|_| Error::BadRequest("the path is not valid"))?,
    );
    Uri::from_parts(parts).map_err(|_| Error::BadRequest("the path is not valid"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn request(uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_token_is_taken_out_wherever_it_stands() {
        for (uri, fields, token, seen) in [
            (
                "/run",
                vec![("authorization", "Bearer wt1.a")],
                "wt1.a",
                "/",
            ),
            (
                "/run/",
                vec![("authorization", "bearer wt1.a")],
                "wt1.a",
                "/",
            ),
            (
                "/run/x/y?q=1",
                vec![("webtask-token", "wt1.a")],
                "wt1.a",
                "/x/y?q=1",
            ),
            ("/t/wt1.a", vec![], "wt1.a", "/"),
            (
                "/t/wt1.a/hook?x",
                vec![
                    ("authorization", "Bearer\twt1.b"),
                    ("referer", "https://example.com/t/wt1.a/page"),
                ],
                "wt1.a",
                "/hook?x",
            ),
        ] {
            let mut request = request(uri, &fields);
            let (found, _) = take(&mut request).unwrap();
            assert_eq!(
                (found.as_str(), request.uri().to_string().as_str()),
                (token, seen),
                "{uri}"
            );
            assert!(
                request.headers().is_empty(),
                "{uri}: {:?}",
                request.headers()
            );
        }
    }

    #[test]
    fn an_authorization_of_the_guests_own_stays() {
        let mut request = request(
            "/run",
            &[
                ("webtask-token", "wt1.a"),
                ("authorization", "Bearer other"),
                ("webtask-source", "guest"),
            ],
        );
        assert_eq!(take(&mut request).unwrap().0, "wt1.a");
        assert_eq!(
            request.headers().get("authorization").unwrap(),
            "Bearer other"
        );
        assert!(!request.headers().contains_key("webtask-source"));
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        assert!(matches!(
            take(&mut request("/run", &[])),
            Err(Error::TokenMissing)
        ));
        assert!(matches!(
            take(&mut request("/run", &[("authorization", "Basic eDp5")])),
            Err(Error::TokenMissing)
        ));
        assert!(matches!(
            take(&mut request("/running", &[])),
            Err(Error::NotFound)
        ));
        assert!(matches!(take(&mut request("/", &[])), Err(Error::NotFound)));
        let twice = [("webtask-token", "wt1.a"), ("webtask-token", "wt1.b")];
        assert!(matches!(
            take(&mut request("/run", &twice)),
            Err(Error::Token(_))
        ));
    }
}
