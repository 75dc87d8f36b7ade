//! `webtask token create --host`: a runtime seals, below an issuer token's ceiling.

use std::path::Path;

use webtask_token::{Amount, Claims, MintRequest, Minted};

use super::{call, flags};
use crate::cli::Failure;

/// Asks `host` for a token of these claims.
pub(super) fn mint(
    host: &str,
    issuer: &Path,
    claims: &Claims,
    expires: Option<u64>,
) -> Result<Minted, Failure> {
    let issuer = flags::token_file("--issuer", issuer)?;
    let answer = call::post(host, "/v1/tokens", &issuer, &request(claims, expires))?;
    serde_json::from_value(answer)
        .map_err(|_| Failure::refused(format!("{host} did not answer with a token")))
}

fn request(claims: &Claims, expires: Option<u64>) -> MintRequest {
    let secrets = claims.secrets.iter();
    let values = secrets.clone().map(|(name, secret)| {
        let value = secret.value.expose().to_owned();
        (name.clone(), value.into())
    });
    let bind = secrets.flat_map(|(name, secret)| {
        let slots = secret.slots.iter();
        slots.map(move |slot| format!("{name}={slot}"))
    });
    let limit = |(name, limit): (&str, u64)| (name.to_owned(), Amount::Number(limit));
    MintRequest {
        url: claims.url.clone(),
        sha256: claims.sha256.map(|digest| super::hex(&digest)),
        unpinned: claims.sha256.is_none(),
        secrets: values.collect(),
        bind: bind.collect(),
        params: claims.params.clone(),
        allow: claims.out.iter().map(ToString::to_string).collect(),
        expires: expires.map(|exp| exp.saturating_sub(claims.iat)),
        limits: claims.lim.iter().map(limit).collect(),
        via: claims.via.iter().map(|_| "path".to_owned()).collect(),
    }
}
