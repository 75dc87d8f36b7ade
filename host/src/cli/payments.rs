//! The demo's origin: as much of a payment API as the example `charge` calls, on loopback.

use std::{
    convert::Infallible,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves `POST /v1/charges` to whoever has `key`.
pub(super) async fn serve(listener: TcpListener, key: String) {
    let api = Arc::new(Api {
        key,
        charges: AtomicU64::new(0),
    });
    while let Ok((stream, _)) = listener.accept().await {
        let api = api.clone();
        tokio::spawn(http1::Builder::new().serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            }),
        ));
    }
}

struct Api {
    key: String,
    charges: AtomicU64,
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let authorised = request
            .headers()
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == format!("Bearer {}", self.key).as_bytes());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        tracing::info!(target: "payments", %method, path, authorised, "called");
        if !authorised {
            return reply(
                401,
                r#"{"error":{"type":"invalid_request_error","message":"Invalid API key"}}"#.into(),
            );
        }
        if (method, path.as_str()) != (Method::POST, "/v1/charges") {
            return reply(404, r#"{"error":{"type":"invalid_request_error","message":"Unrecognized request URL"}}"#.into());
        }
        let Ok(body) = Limited::new(request.into_body(), 16 << 10).collect().await else {
            return reply(
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Unreadable body"}}"#.into(),
            );
        };
        let body = body.to_bytes();
        let field = |name: &str| {
            url::form_urlencoded::parse(&body)
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let (Some(Ok(amount)), Some(currency), Some(source)) = (
            field("amount").map(|amount| amount.parse::<u64>()),
            field("currency"),
            field("source"),
        ) else {
            return reply(400, r#"{"error":{"type":"invalid_request_error","message":"amount, currency and source are required"}}"#.into());
        };
        if source == "tok_chargeDeclined" {
            return reply(402, r#"{"error":{"type":"card_error","code":"card_declined","message":"Your card was declined."}}"#.into());
        }
        let number = self.charges.fetch_add(1, Ordering::Relaxed) + 1;
        let charge = serde_json::json!({ "id": format!("ch_{number:06}"), "object": "charge", "amount": amount, "currency": currency, "paid": true, "status": "succeeded" });
        reply(200, charge.to_string())
    }
}

fn reply(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
