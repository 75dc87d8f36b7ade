//! Stand-ins for services, as far as the examples call them: requests, errors and authentication as documented.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Response;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};
use webtask_tests::Seen;

pub(super) const STRIPE_KEY: &str = "sk_test_51H8xvU2eZvKYlo2C";
pub(super) const TWILIO_AUTH_TOKEN: &str = "f00dfeed0123456789abcdef01234567";
pub(super) const POSTMARK_TOKEN: &str = "7f2c4f0c-5e3e-4f0a-9d55-3a2b4c5d6e7f";
pub(super) const S3_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn reply(status: u16, media_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let reply = Response::builder()
        .status(status)
        .header("content-type", media_type);
    reply.body(body.into()).expect("a response")
}

fn json(status: u16, body: serde_json::Value) -> Response<Bytes> {
    reply(status, "application/json", body.to_string())
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    let value = seen.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The value of a field of a form; empty if it is not there.
fn field(seen: &Seen, name: &str) -> String {
    let mut fields = form_urlencoded::parse(&seen.body);
    let found = fields.find(|(other, _)| other == name);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Stripe, "Create a charge": bearer key, form fields, 402 for a declined card.
pub(super) fn stripe(seen: &Seen) -> Response<Bytes> {
    let error = |status, error| json(status, serde_json::json!({ "error": error }));
    if header(seen, "authorization") != format!("Bearer {STRIPE_KEY}") {
        let message = "Invalid API Key provided: sk_*****";
        return error(
            401,
            serde_json::json!({ "type": "invalid_request_error", "message": message }),
        );
    }
    if (seen.method.as_str(), &*seen.path) != ("POST", "/v1/charges") {
        return error(
            404,
            serde_json::json!({ "type": "invalid_request_error", "message": "Unrecognized request URL" }),
        );
    }
    let form = header(seen, "content-type") == "application/x-www-form-urlencoded";
    let (Ok(amount), true) = (field(seen, "amount").parse::<u64>(), form) else {
        return error(
            400,
            serde_json::json!({ "type": "invalid_request_error", "code": "parameter_missing", "param": "amount" }),
        );
    };
    if field(seen, "source") == "tok_chargeDeclined" {
        return error(
            402,
            serde_json::json!({ "type": "card_error", "code": "card_declined", "message": "Your card was declined." }),
        );
    }
    let currency = field(seen, "currency");
    json(
        200,
        serde_json::json!({ "id": "ch_1", "object": "charge", "amount": amount, "currency": currency, "status": "succeeded" }),
    )
}

/// Twilio, "Create a Message": basic authentication, form fields, errors with a code of Twilio's own. The numbers that fail
/// are those of its test credentials, and two of this file's.
pub(super) fn twilio(seen: &Seen) -> Response<Bytes> {
    let account = "AC0123456789abcdef0123456789abcdef";
    let error = |status: u16, code: u32, message: &str| {
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        json(
            status,
            serde_json::json!({ "code": code, "message": message, "more_info": more, "status": status }),
        )
    };
    let pair = BASE64.encode(format!("{account}:{TWILIO_AUTH_TOKEN}").as_bytes());
    if header(seen, "authorization") != format!("Basic {pair}") {
        return error(401, 20003, "Authenticate");
    }
    if (seen.method.as_str(), &*seen.path)
        != (
            "POST",
            &*format!("/2010-04-01/Accounts/{account}/Messages.json"),
        )
    {
        return error(404, 20404, "The requested resource was not found");
    }
    match &*field(seen, "To") {
        "+15005550001" => error(400, 21211, "Invalid 'To' Phone Number"),
        "+15005550004" => error(400, 21610, "Attempt to send to unsubscribed recipient"),
        "+15005550009" => error(400, 21606, "The 'From' phone number is not valid"),
        "+15005550429" => error(429, 20429, "Too Many Requests"),
        to if field(seen, "From") == "+15005550006"
            && field(seen, "Body") == "Your code is 4711" =>
        {
            let sid = "SM0123456789abcdef0123456789abcdef";
            json(
                201,
                serde_json::json!({ "sid": sid, "status": "queued", "to": to, "account_sid": account, "error_code": null }),
            )
        }
        _ => error(400, 21602, "Message body is required"),
    }
}

/// Postmark, "Send a single email": a token in a header of its own, JSON, 422 with a code of Postmark's own.
pub(super) fn postmark(seen: &Seen) -> Response<Bytes> {
    let error = |status, code: u32, message: &str| {
        json(
            status,
            serde_json::json!({ "ErrorCode": code, "Message": message }),
        )
    };
    if header(seen, "x-postmark-server-token") != POSTMARK_TOKEN {
        return error(401, 10, "Request does not contain a valid Server token.");
    }
    if (seen.method.as_str(), &*seen.path) != ("POST", "/email") {
        return error(404, 404, "not found");
    }
    let (json_in, json_out) = (header(seen, "content-type"), header(seen, "accept"));
    let Ok(mail) = serde_json::from_slice::<serde_json::Value>(&seen.body) else {
        return error(422, 402, "Received invalid JSON input.");
    };
    if (json_in, json_out) != ("application/json", "application/json") {
        return error(415, 415, "unsupported media type");
    }
    if mail["From"] != "web@example.com" {
        return error(
            422,
            400,
            "The 'From' address is not a Sender Signature on your account.",
        );
    }
    if mail["ReplyTo"] == "invalid@example.com" {
        return error(
            422,
            300,
            "Invalid 'ReplyTo' address: 'invalid@example.com'.",
        );
    }
    json(
        200,
        serde_json::json!({ "To": mail["To"], "SubmittedAt": "2026-01-01T00:00:00Z", "MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d", "ErrorCode": 0, "Message": "OK" }),
    )
}

/// S3, "Authenticating Requests: Using Query Parameters": computes the signature from what it was sent.
pub(super) fn s3(seen: &Seen) -> Response<Bytes> {
    let url = Url::parse(&format!("http://store{}", seen.path)).expect("a URL");
    let query = |name: &str| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let raw = url.query().unwrap_or_default();
    let mut pairs: Vec<_> = raw
        .split('&')
        .filter(|pair| !pair.starts_with("X-Amz-Signature="))
        .collect();
    pairs.sort_unstable();
    let names = query("X-Amz-SignedHeaders");
    let headers = names
        .split(';')
        .map(|name| format!("{name}:{}\n", header(seen, name)));
    let canonical = format!(
        "{}\n{}\n{}\n{}\n{names}\nUNSIGNED-PAYLOAD",
        seen.method,
        url.path(),
        pairs.join("&"),
        headers.collect::<String>(),
    );
    let (credential, time) = (query("X-Amz-Credential"), query("X-Amz-Date"));
    let scope = credential.split_once('/').map_or("", |(_, scope)| scope);
    let digest = HEXLOWER.encode(&Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let mut key = format!("AWS4{S3_KEY}").into_bytes();
    for part in scope.split('/').chain([&*to_sign]) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key");
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let right = scope.ends_with("/us-east-1/s3/aws4_request") && time.starts_with(&scope[..8]);
    if right
        && credential.starts_with("AKIAIOSFODNN7EXAMPLE/")
        && query("X-Amz-Signature") == HEXLOWER.encode(&key)
    {
        return reply(200, "application/xml", "");
    }
    let error = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
    reply(403, "application/xml", error)
}
