//! The request, of what was typed.

use std::{io::Read as _, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use webtask_token::{Secret, units::parse_duration};

use super::{InvokeCommand, watch::Watched};
use crate::cli::Failure;

/// A request that can be sent more than once.
pub(super) struct Call {
    token: Secret,
    uri: String,
    method: Option<Method>,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Body,
}

/// Where the body is.
enum Body {
    None,
    File(PathBuf),
    Whole(Bytes),
}

impl InvokeCommand {
    /// What is to be sent. Reads stdin, if that was asked for.
    pub(super) fn call(&self) -> Result<Call, Failure> {
        let (token, path) = match (&self.first, &self.second) {
            // The only word is a path where the token is elsewhere.
            (Some(first), None) if self.presented.is_there() && first.as_path().is_some() => {
                (None, first.as_path())
            }
            (first, second) => (first.as_ref(), second.as_deref()),
        };
        let token_on_stdin = token.map_or(self.presented.is_stdin(), |token| token.is_stdin());
        let body = match self
            .data
            .as_deref()
            .map(|data| (data, data.strip_prefix('@')))
        {
            None => Body::None,
            Some((_, Some("-"))) if token_on_stdin => {
                return Err(
                    Failure::usage("the token and the body cannot both come from stdin")
                        .hint("put the token into a file, --token-file, or into WEBTASK_TOKEN"),
                );
            }
            Some((_, Some("-"))) => Body::Whole(stdin()?),
            Some((_, Some(path))) => Body::File(path.into()),
            Some((text, None)) => Body::Whole(Bytes::copy_from_slice(text.as_bytes())),
        };
        let token = match token {
            Some(token) => token.read()?,
            None => self.presented.read()?,
        };
        let method = self.request.as_ref().map(|method| {
            Method::from_bytes(method.as_bytes())
                .map_err(|_| Failure::usage(format!("{method:?} is no method")))
        });
        let path = path.unwrap_or("/");
        let path = path.strip_prefix('/').unwrap_or(path);
        Ok(Call {
            token: Secret::new(token),
            uri: format!("{}/run/{path}", self.host.trim_end_matches('/')),
            method: method.transpose()?,
            fields: self
                .header
                .iter()
                .map(|text| field(text))
                .collect::<Result<_, _>>()?,
            body,
        })
    }

    /// What to watch, if anything.
    pub(super) fn watched(&self, call: &Call) -> Result<Option<Watched>, Failure> {
        if self.watch.is_none() && self.watch_file.is_empty() {
            return Ok(None);
        }
        let every = match self.watch.as_deref() {
            None | Some("") => None,
            Some(time) => {
                let time = parse_duration(time)
                    .map_err(|error| Failure::usage(format!("--watch={time}: {error}")))?;
                // More often is a load test, and not this command's business.
                Some(time.max(Duration::from_millis(100)))
            }
        };
        let mut files = self.watch_file.clone();
        files.extend(call.file().cloned());
        if files.is_empty() && every.is_none() {
            return Err(Failure::usage("there is nothing to watch")
                .hint("name a file with --watch-file FILE or -d @FILE, or a time: --watch=2s"));
        }
        Ok(Some(Watched { files, every }))
    }
}

impl Call {
    pub(super) fn token(&self) -> &str {
        self.token.expose().trim()
    }

    /// The file that the body is read from.
    fn file(&self) -> Option<&PathBuf> {
        match &self.body {
            Body::File(path) => Some(path),
            Body::None | Body::Whole(_) => None,
        }
    }

    /// The request, with the body as its file is now.
    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>, Failure> {
        let body = match &self.body {
            Body::None => None,
            Body::Whole(body) => Some(body.clone()),
            Body::File(path) => Some(
                std::fs::read(path)
                    .map_err(|error| {
                        Failure::usage(format!("cannot read {}: {error}", path.display()))
                    })?
                    .into(),
            ),
        };
        let default = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = Request::builder()
            .method(self.method.clone().unwrap_or(default))
            .uri(&self.uri)
            .header("webtask-token", self.token());
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|error| {
                Failure::usage(format!("{} or the token cannot be sent: {error}", self.uri)).hint(
                    "--host takes a URL such as http://127.0.0.1:8080; a token is one line of text",
                )
            })
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        Some((
            HeaderName::from_bytes(name.trim().as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        ))
    });
    parsed.ok_or_else(|| {
        Failure::usage(format!("{text:?} is no header field")).hint("write 'name: value'")
    })
}

fn stdin() -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| Failure::usage(format!("cannot read the body from stdin: {error}")))?;
    Ok(body.into())
}
