//! What a caller gets: an answer of the host's own, or a guest's that has begun.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, header};
use http_body::Body as _;
use http_body_util::{Either, Full};
use wasmtime_wasi_http::WasiBody;

use crate::{
    admission::Place,
    api::Live,
    body::{HostBody, ResponseBody},
    carrier,
    invoke::Run,
    logs::LogBody,
    record::Record,
    rights::Rights,
};

/// Who answers.
pub(crate) enum Reply {
    Guest(Answer),
    Host(Response<Full<Bytes>>),
    Logs(Live),
}

impl Live {
    pub(crate) fn into_response(self, mut record: Record) -> Response<HostBody> {
        record.status = self.response.status().as_u16();
        let body = LogBody::new(self.source, record, self.place);
        self.response.map(|()| Either::Right(Either::Right(body)))
    }
}

/// A guest's response that has begun.
pub(crate) struct Answer {
    pub(crate) response: Response<WasiBody>,
    pub(crate) run: Run,
    pub(crate) rights: Arc<Rights>,
    pub(crate) reading: Place,
}

/// An answer of the host's own, whose record is complete.
pub(crate) fn own(response: Response<Full<Bytes>>, mut record: Record) -> Response<HostBody> {
    record.status = response.status().as_u16();
    record.sent = response.body().size_hint().lower();
    response.map(Either::Left)
}

impl Answer {
    pub(crate) fn into_response(mut self, mut record: Record, head: bool) -> Response<HostBody> {
        carrier::drop_own(self.response.headers_mut());
        record.status = self.response.status().as_u16();
        record.whole_at = match record.status {
            204 | 304 => Some(0),
            _ if head => Some(0),
            // hyper frames by what the body says of itself, where no field says it.
            _ => declared_length(&self.response).or(self.response.body().size_hint().exact()),
        };
        let limit = self.rights.limits.response_bytes;
        self.response.map(|body| {
            Either::Right(Either::Left(ResponseBody::new(
                body,
                self.run,
                limit,
                record,
                self.reading,
            )))
        })
    }
}

fn declared_length(response: &Response<WasiBody>) -> Option<u64> {
    response
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
