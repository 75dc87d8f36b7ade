//! The answer that an error becomes. Which status and code it has is not decided here.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use serde::Serialize;

use super::{Error, Row};
use crate::Limit;

impl Error {
    /// The answer: `application/problem+json` (RFC 9457) made of constants, the request's id, and for
    /// an issuer what of its own request was too wide.
    pub(crate) fn to_response(&self, request_id: &str) -> Response<Full<Bytes>> {
        let Row(status, code, _, title) = self.row();
        let problem = Problem {
            status: status.as_u16(),
            code,
            title,
            request_id,
            limit: self.limit().map(Limit::name),
            errors: match self {
                Self::TooWide(errors) => Some(errors.as_slice()),
                Self::Unmintable(error) => Some(std::slice::from_ref(error)),
                _ => None,
            },
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == 401 {
            // RFC 6750, section 3.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let retry_after = match self {
            // Rounded up: a caller that comes back then is served.
            Self::RateLimited { retry_after } | Self::TenantRateLimited { retry_after } => {
                Some(retry_after.as_secs().saturating_add(1))
            }
            _ => matches!(self.status(), 429 | 503).then_some(1),
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
    title: &'a str,
    request_id: &'a str,
    /// The name of the limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    /// What to mend, each in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [String]>,
}
