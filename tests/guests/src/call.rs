//! A call without the SDK between, sent and read piece by piece, in one form for both generations of WASI: `Exchange` and
//! `Answer` of each say how.
use crate::{Exchange, Fields, Method, Outgoing, RequestOptions, Scheme};
use std::time::Duration;

/// Names and values as they go and come.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// What is sent.
pub struct Call<'a> {
    /// Any, also what no host takes.
    pub method: Method,
    /// Any text, where host and port belong.
    pub authority: &'a str,
    /// Any text, where path and query belong.
    pub path: &'a str,
    /// Header fields, none of which is changed.
    pub fields: Vec<(&'a str, &'a [u8])>,
    /// With a body, which may be empty.
    pub body: Option<&'a [u8]>,
    /// Trailers of that body.
    pub trailers: Vec<(&'a str, &'a [u8])>,
    /// How long it waits between two pieces of the answer.
    pub patience: Option<Duration>,
}

impl<'a> Call<'a> {
    /// `GET`, with nothing beside.
    pub fn get(authority: &'a str, path: &'a str) -> Self {
        Self {
            method: Method::Get,
            authority,
            path,
            fields: Vec::new(),
            body: None,
            trailers: Vec::new(),
            patience: None,
        }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value.as_bytes()));
        self
    }

    /// `POST` of this.
    #[must_use]
    pub fn post(mut self, body: &'a [u8]) -> Self {
        self.method = Method::Post;
        self.body = Some(body);
        self
    }

    /// Everything that came of it: status, fields, body as far as it came, trailers, errors.
    pub async fn send(self) -> Vec<u8> {
        let mut got = Vec::new();
        if let Err(error) = self.try_send(&mut got).await {
            got.extend(format!("\n[{error}]\n").into_bytes());
        }
        got
    }

    async fn try_send(self, got: &mut Vec<u8>) -> Result<(), String> {
        let mut exchange = Exchange::begin(&self)?;
        exchange.write(self.body.unwrap_or_default()).await;
        let trailers = (!self.trailers.is_empty()).then(|| fields(&self.trailers));
        let finished = exchange.finish(trailers.transpose()?).await;
        let answer = exchange.answer().await;
        if let Err(error) = finished {
            got.extend(format!("[{error}]").into_bytes());
        }
        let mut answer = answer?;
        got.extend(format!("{}\n", answer.status).into_bytes());
        say(got, &answer.fields);
        let error = loop {
            match answer.read(64 << 10).await {
                Ok(bytes) => got.extend(bytes),
                Err(error) => break error,
            }
        };
        let trailers = answer.end().await;
        say(got, &trailers.map_err(|end| format!("{error}, {end}"))?);
        Err(error)
    }

    /// Makes `request` the one that is meant.
    pub(crate) fn aim(&self, request: &Outgoing) -> Result<(), String> {
        request
            .set_method(&self.method)
            .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
            .and_then(|()| request.set_authority(Some(self.authority)))
            .and_then(|()| request.set_path_with_query(Some(self.path)))
            .map_err(|()| "not a request".to_owned())
    }

    pub(crate) fn options(&self) -> RequestOptions {
        let options = RequestOptions::new();
        if let Some(patience) = self.patience {
            let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
            let _ = options.set_between_bytes_timeout(Some(nanos));
        }
        options
    }
}

/// Fields or trailers, or what the host says against one.
pub(crate) fn fields(pairs: &[(&str, &[u8])]) -> Result<Fields, String> {
    let fields = Fields::new();
    for (name, value) in pairs {
        fields
            .append(name, value)
            .map_err(|error| format!("field {name}: {error:?}"))?;
    }
    Ok(fields)
}

fn say(got: &mut Vec<u8>, pairs: &Pairs) {
    for (name, value) in pairs {
        got.extend([name.as_bytes(), b": ", value, b"\n"].concat());
    }
}
