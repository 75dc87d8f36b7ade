//! The host's own interface: `POST /v1/tokens` and `POST /v1/revoke`, JSON in, JSON out; `GET /v1/logs`.

mod logs;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use webtask_token::{Kind, MintError, MintRequest, Opened, RevokeRequest};

use crate::{
    Error, carrier,
    gate::{Gate, now},
    record::Record,
    revocations::Revocation,
};

pub(crate) use logs::{Live, Reading, read as logs};

/// Bytes of a body of this interface: a token's worth of claims, several times.
const BODY: usize = 32 << 10;

/// Time for such a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Mints a run token below the ceiling of the issuer token that is presented.
pub(crate) async fn mint(
    gate: &Gate,
    request: Request<Incoming>,
    record: &mut Record,
) -> Result<Response<Full<Bytes>>, Error> {
    let (issuer, asked): (_, MintRequest) = call(gate, request, record, Counts::AsACall).await?;
    // What a tenant may run is cut when it runs, by the ceiling of that day; here only whether it is served.
    gate.ceiling(&issuer)?;
    let minted = issuer.mint(asked, &gate.keyring(), now());
    reply(&minted.map_err(|error| match error {
        MintError::NotIssuer => Error::Denied(error.to_string()),
        MintError::TooWide(fields) => Error::TooWide(fields),
        other => Error::Unmintable(other.to_string()),
    })?)
}

/// Revokes the presented token, or one that was made from it or minted with it. An issuer token
/// revokes any link of its tenant, or all that the tenant was issued.
pub(crate) async fn revoke(
    gate: &Gate,
    request: Request<Incoming>,
    record: &mut Record,
) -> Result<Response<Full<Bytes>>, Error> {
    let (presented, asked): (_, RevokeRequest) =
        call(gate, request, record, Counts::ByItself).await?;
    let tenant = presented.claims.tenant.clone();
    let only_issuers = || {
        let issuer = matches!(presented.claims.kind, Kind::Issue(_));
        let text = "only an issuer token revokes by id or time; present the token to revoke";
        issuer.then_some(()).ok_or(Error::Denied(text.into()))
    };
    let entry = match (asked.token, asked.id, asked.before) {
        (None, None, Some(before)) => {
            only_issuers()?;
            // A cut-off never goes back: one of tomorrow would end the tenant for good.
            if before > now().saturating_add(1) {
                return Err(Error::BadRequest("before is in the future"));
            }
            gate.cut_off(tenant.clone(), before).await?;
            return reply(&serde_json::json!({ "tenant": tenant, "before": before }));
        }
        (None, Some(id), None) => {
            let id = id
                .parse()
                .map_err(|_| Error::BadRequest("id is not 32 hexadecimal digits"))?;
            if id == presented.id {
                entry_of(&presented)
            } else {
                only_issuers()?;
                // Nothing says how long tokens of that link could live.
                Revocation {
                    tenant,
                    id,
                    root: id,
                    until: u64::MAX,
                }
            }
        }
        (Some(token), None, None) => {
            let below = gate.open(&token)?;
            gate.unrevoked(&below)?;
            if ![&below.links, &below.claims.iss]
                .iter()
                .any(|links| links.contains(&presented.id))
            {
                let text = "that token was not made from the presented one, nor minted with it";
                return Err(Error::Denied(text.into()));
            }
            entry_of(&below)
        }
        (None, None, None) => entry_of(&presented),
        _ => return Err(Error::BadRequest("token, id and before exclude each other")),
    };
    let id = entry.id.to_string();
    gate.revoke(entry).await?;
    reply(&serde_json::json!({ "revoked": id }))
}

/// The last link of a token, to revoke.
fn entry_of(opened: &Opened) -> Revocation {
    Revocation {
        tenant: opened.claims.tenant.clone(),
        id: opened.id,
        root: *opened.links.first().unwrap_or(&opened.id),
        until: last_use(opened),
    }
}

/// The latest Unix second at which a token of this link, or one minted with it, could be valid.
fn last_use(opened: &Opened) -> u64 {
    match &opened.claims.kind {
        Kind::Issue(ceiling) => opened.claims.exp.saturating_add(ceiling.life),
        _ => opened.claims.exp,
    }
}

/// Against which rate a call of this interface counts.
#[derive(Clone, Copy)]
enum Counts {
    /// Those of the token and its tenant.
    AsACall,
    /// One of its own: whoever floods a tenant must not keep its owner from ending that.
    ByItself,
}

/// Opens the presented token and reads the body; an empty one asks for the default.
async fn call<T: DeserializeOwned + Default>(
    gate: &Gate,
    mut request: Request<Incoming>,
    record: &mut Record,
    counts: Counts,
) -> Result<(Opened, T), Error> {
    if request.method() != Method::POST {
        return Err(Error::NotFound);
    }
    let token = carrier::presented(request.headers_mut())?;
    let opened = gate.open(&token)?;
    record.of(&opened);
    gate.unrevoked(&opened)?;
    match counts {
        Counts::AsACall => gate.count_opened(&opened)?,
        Counts::ByItself => gate.count_revoking(&opened)?,
    }
    record.admitted = true;
    let limit = BODY as u64;
    let body = Limited::new(request.into_body(), BODY).collect();
    let body = tokio::time::timeout(BODY_TIME, body).await;
    let body = body.map_err(|_| Error::BadRequest("the body did not arrive in time"))?;
    let body = body.map_err(|_| Error::BodyTooLarge { limit })?.to_bytes();
    if body.trim_ascii().is_empty() {
        return Ok((opened, T::default()));
    }
    let asked = serde_json::from_slice(&body);
    // serde's text may repeat what was sent, a secret among it.
    let asked = asked.map_err(|_| Error::BadRequest("the body is not the JSON of this call"))?;
    Ok((opened, asked))
}

fn reply(value: &impl Serialize) -> Result<Response<Full<Bytes>>, Error> {
    let body = serde_json::to_vec(value).map_err(|error| Error::Internal(error.to_string()))?;
    let mut response = Response::new(Full::new(body.into()));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
