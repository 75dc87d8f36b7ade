//! Hands out URLs by which a browser puts one file into a bucket, itself and for ten minutes: the file does not pass
//! through here, and the bucket's key does not leave.
//!
//! Shows AWS Signature Version 4 in a query (a presigned `PUT`), which every store that speaks S3 takes, with ordinary
//! crates, and a parameter that fences what a token may write: `--param prefix=users/42/`.
//!
//! The key must be readable, since the host signs headers and no URLs. Give it one user who may do nothing but
//! `s3:PutObject` below the prefix.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/presign.wasm --sha256 …
//! --param endpoint=https://examplebucket.s3.amazonaws.com --param region=us-east-1 --param prefix=uploads/
//! --param access-key=AKIAIOSFODNN7EXAMPLE --secret-env secret-key=AWS_SECRET_ACCESS_KEY`
//! Call: `curl -H "Authorization: Bearer $TOKEN" -d '{"name":"photo 1.jpg","type":"image/jpeg","size":5}'
//! http://localhost:8080/run`, and with `url` of the answer `printf hello >photo.jpg; curl -T photo.jpg
//! -H 'content-type: image/jpeg' "$URL"`

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use webtask::{Error, Method, Request, Response, params, secrets};
use webtask_examples::{Utc, hex, unix_now};

/// Seconds that a URL is good for.
const LIFE: u32 = 600;

/// The most bytes of a file: the URL holds the size, so the store refuses any other.
const MOST: u64 = 100 << 20;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    r#type: String,
    size: u64,
}

/// `PUT` the file to `url`, with this `content-type`, before `expires`, in Unix seconds.
#[derive(serde::Serialize)]
struct Upload {
    url: String,
    key: String,
    expires: u64,
}

#[webtask::main(secrets("secret-key"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let body = request.into_body().bytes_up_to(4096).await?;
    let file: File = webtask::Body::from(body).json().await?;
    check(&file)?;
    let endpoint = params::require("endpoint")?;
    let Some((scheme, host)) = endpoint.split_once("://") else {
        return Err(Error::internal("the parameter `endpoint` is no URL"));
    };
    let now = unix_now();
    let key = format!("{}{}", params::require("prefix")?, file.name);
    let size = file.size.to_string();
    let signed = Presign {
        method: "PUT",
        host,
        path: &format!("/{key}"),
        headers: &[
            ("content-length", &size),
            ("content-type", &file.r#type),
            ("host", host),
        ],
        region: &params::require("region")?,
        access_key: &params::require("access-key")?,
        now,
        life: LIFE,
    };
    let url = format!("{scheme}://{}", signed.url(&secrets::get("secret-key")?)?);
    let expires = now + u64::from(LIFE);
    let mut response = webtask::json(&Upload { url, key, expires })?;
    let no_store = webtask::HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.append(webtask::header::CACHE_CONTROL, no_store);
    Ok(response)
}

fn check(file: &File) -> Result<(), Error> {
    let name = &file.name;
    if !(1..=200).contains(&name.len())
        || name.starts_with('.')
        || name.contains('/')
        || name.chars().any(char::is_control)
    {
        let what = "name: 1 to 200 bytes without a slash, and no dot to begin with";
        return Err(Error::bad_request(what));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-.".contains(&byte);
    if !(3..=100).contains(&file.r#type.len())
        || !file.r#type.contains('/')
        || !file.r#type.bytes().all(plain)
    {
        return Err(Error::bad_request("type: a media type, such as image/jpeg"));
    }
    if !(1..=MOST).contains(&file.size) {
        return Err(Error::bad_request(format!("size: from 1 to {MOST} bytes")));
    }
    Ok(())
}

/// A request to be signed in its query, as "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" says.
struct Presign<'a> {
    method: &'a str,
    host: &'a str,
    /// Not yet encoded.
    path: &'a str,
    /// Sorted, names in lower case, `host` among them.
    headers: &'a [(&'a str, &'a str)],
    region: &'a str,
    access_key: &'a str,
    now: u64,
    life: u32,
}

impl Presign<'_> {
    /// The URL without its scheme.
    fn url(&self, secret_key: &str) -> Result<String, Error> {
        let (
            time,
            Self {
                method,
                host,
                region,
                life,
                ..
            },
        ) = (Utc::of(self.now).basic(), self);
        let date = time.get(..8).unwrap_or_default();
        let scope = format!("{date}/{region}/s3/aws4_request");
        let path = encode(self.path, "/");
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        // Sorted by name, as the signature wants it.
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={life}&X-Amz-SignedHeaders={}",
            encode(&format!("{}/{scope}", self.access_key), ""),
            encode(&names, ""),
        );
        let mut canonical = format!("{method}\n{path}\n{query}\n");
        for (name, value) in self.headers {
            canonical += &format!("{name}:{}\n", value.trim());
        }
        canonical += &format!("\n{names}\nUNSIGNED-PAYLOAD");
        let digest = hex(&Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");

        let mut key = format!("AWS4{secret_key}").into_bytes();
        for part in [date, region, "s3", "aws4_request", &to_sign] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
            mac.update(part.as_bytes());
            key = mac.finalize().into_bytes().to_vec();
        }
        Ok(format!(
            "{host}{path}?{query}&X-Amz-Signature={}",
            hex(&key)
        ))
    }
}

/// Percent-encodes all bytes but the unreserved ones of RFC 3986 and those of `keep`.
fn encode(text: &str, keep: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) {
            encoded.push(c);
        } else {
            // A String takes everything.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Amazon's documentation.
    #[test]
    fn the_documented_url_has_the_documented_signature() {
        let signed = Presign {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            headers: &[("host", "examplebucket.s3.amazonaws.com")],
            region: "us-east-1",
            access_key: "AKIAIOSFODNN7EXAMPLE",
            now: 1_369_353_600,
            life: 86_400,
        };
        let url = signed
            .url("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .expect("a key");
        assert_eq!(
            url,
            "examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn names_are_encoded_byte_by_byte_and_only_once() {
        assert_eq!(encode("a b+c~%2F\u{e4}/", "/"), "a%20b%2Bc~%252F%C3%A4/");
        assert_eq!(encode("a/b", ""), "a%2Fb");
    }
}
