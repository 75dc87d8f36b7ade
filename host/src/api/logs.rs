//! `GET /v1/logs`: which lines a token may read, and the answer that goes on.
//!
//! An issuer token reads its tenant's lines. One that was narrowed, or whose tenant is the one that everybody is in
//! who has none, reads what was minted with it. A run token reads its own lines and those of all that was made from
//! it, if it is whole: whoever hands on a narrower token, or a minted one, hands on calls and no log.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use url::form_urlencoded;
use webtask_token::{Carrier, DEFAULT_TENANT, Kind, Opened, Secret};

use crate::{
    Error, Limits,
    admission::{Asking, Place, Places},
    carrier,
    gate::Gate,
    logs::{Filter, Level, Logs, Position, Scope, Source},
    record::Record,
    tenant::ReadLogs,
};

/// Bytes of the text that lines must hold.
const TEXT: usize = 256;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx keeps an answer back until it has a page of it, unless this says no.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a reader asks for.
struct Asked {
    level: Level,
    text: String,
    follow: bool,
}

/// A live log that has begun.
pub(crate) struct Live {
    pub(crate) response: Response<()>,
    pub(crate) source: Source,
    pub(crate) place: Place,
    /// Whether the token is only for some origins.
    pub(crate) restricted: bool,
}

/// What of the host a live log needs.
pub(crate) struct Reading<'a> {
    pub(crate) gate: &'a Arc<Gate>,
    pub(crate) logs: &'a Logs,
    pub(crate) readers: &'a Arc<Places>,
    pub(crate) limits: &'a Limits,
}

/// Opens the presented token and begins to read.
pub(crate) async fn read(
    host: Reading<'_>,
    mut request: Request<Incoming>,
    record: &mut Record,
) -> Result<Live, Error> {
    if request.method() != Method::GET {
        return Err(Error::NotFound);
    }
    let asked = Asked::of(request.uri().query().unwrap_or_default())?;
    let token = carrier::presented(request.headers_mut())?;
    let opened = host.gate.open(&token)?;
    record.of(&opened);
    host.gate.unrevoked(&opened)?;
    host.gate.count_reading(&opened)?;
    let (tenant, scope) = scope(host.gate, &opened)?;
    let rights = opened.rights();
    host.gate.check_origin(&rights, request.headers())?;
    record.admitted = true;
    let asking = Asking {
        tenant: tenant.clone(),
        tenant_most: host.limits.tenant_log_readers,
        root: opened.links.first().copied().unwrap_or(opened.id),
        // Whoever has one token of a tenant leaves room for its owner.
        root_most: host.limits.tenant_log_readers.div_ceil(2),
    };
    let place = host.readers.take(&asking).await;
    let place = place.map_err(Error::log_readers)?;
    // What is no id is one of another process.
    let position = request.headers().get(LAST_EVENT_ID);
    let position = position.map(|id| {
        let id = id.to_str().unwrap_or_default();
        id.parse::<Position>().unwrap_or_default()
    });
    let filter = Filter::new(scope, asked.level, &asked.text);
    let reader = host.logs.read(&tenant, filter, position);
    let standing = {
        let (gate, token) = (host.gate.clone(), Secret::new(token));
        move || still(&gate, token.expose(), scope).map_err(|error| error.code())
    };
    let source = Source::new(reader, Box::new(standing), host.logs.ended(), asked.follow);
    Ok(Live {
        response: head(),
        source,
        place,
        restricted: rights.origins().is_some(),
    })
}

/// Whether a token may still read what it read at first.
fn still(gate: &Gate, token: &str, before: Scope) -> Result<(), Error> {
    let opened = gate.open(token)?;
    gate.unrevoked(&opened)?;
    let (_, now) = scope(gate, &opened)?;
    (now == before)
        .then_some(())
        .ok_or_else(|| Error::Denied("the token reads something else now".into()))
}

/// Which lines the token may see, and of which tenant.
fn scope(gate: &Gate, opened: &Opened) -> Result<(Arc<str>, Scope), Error> {
    let (tenant, ceiling) = gate.ceiling(opened)?;
    let denied = |text: &str| Err(Error::Denied(text.to_owned()));
    let whole = opened.caveats.is_empty();
    let scope = match (&opened.claims.kind, ceiling.read_logs) {
        (_, ReadLogs::Nobody) => {
            return denied(
                "no token reads the log here; the operator's read-logs would have to say issuers, whole-tokens or tokens",
            );
        }
        (Kind::Issue(_), _) if whole && opened.claims.tenant != DEFAULT_TENANT => Scope::Tenant,
        (Kind::Issue(_), _) => Scope::Issuer(opened.id),
        (_, ReadLogs::Issuers) => {
            return denied(
                "only issuer tokens read the log here; the operator's read-logs would have to say whole-tokens or tokens",
            );
        }
        (_, ReadLogs::WholeTokens) if !whole => {
            return denied(
                "a token that was narrowed reads no log; present the one that it was made from",
            );
        }
        (_, ReadLogs::WholeTokens) if !opened.claims.iss.is_empty() => {
            return denied("a minted token reads no log; present the issuer token");
        }
        (_, ReadLogs::WholeTokens) if opened.claims.via.contains(&Carrier::Path) => {
            return denied(
                "a token that may stand in a URL reads no log: URLs are in many logs themselves",
            );
        }
        _ => Scope::Link(opened.id),
    };
    Ok((tenant, scope))
}

impl Asked {
    fn of(query: &str) -> Result<Self, Error> {
        let mut asked = Self {
            level: Level::Trace,
            text: String::new(),
            follow: true,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("level", level) => {
                    let wrong = |()| {
                        Error::BadRequest("level is none of trace, debug, info, warn and error")
                    };
                    asked.level = level.parse().map_err(wrong)?;
                }
                ("text", text) if text.len() <= TEXT => text.clone_into(&mut asked.text),
                ("text", _) => return Err(Error::BadRequest("text is longer than 256 bytes")),
                ("follow", "true") => asked.follow = true,
                ("follow", "false") => asked.follow = false,
                ("follow", _) => return Err(Error::BadRequest("follow is neither true nor false")),
                _ => {
                    return Err(Error::BadRequest(
                        "a parameter is none of level, text and follow",
                    ));
                }
            }
        }
        Ok(asked)
    }
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (BUFFERING, "no"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_asks_for_is_understood_or_refused() {
        let asked = Asked::of("level=warn&text=a%20b+c&follow=false").ok();
        let asked = asked.map(|asked| (asked.level, asked.text, asked.follow));
        assert_eq!(asked, Some((Level::Warn, "a b c".to_owned(), false)));
        assert!(Asked::of("").is_ok_and(|asked| asked.follow && asked.level == Level::Trace));
        let long = format!("text={}", "x".repeat(TEXT + 1));
        for query in ["level=all", "follow=1", "tenant=other", "level=", &long] {
            assert!(Asked::of(query).is_err(), "{query}");
        }
    }
}
