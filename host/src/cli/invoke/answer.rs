//! The answer: printed as it comes, or kept to be compared.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use webtask_host::Timing;

use super::{InvokeCommand, request::Call, timing::Clock};
use crate::cli::{Failure, print};

/// Bytes of an answer that is kept to be compared with the next one.
const KEPT: usize = 16 << 20;

/// What the host says when it answers itself (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    title: String,
}

/// Where a body goes.
pub(super) enum Sink {
    File(PathBuf),
    Stdout,
}

/// An answer that has begun.
pub(super) struct Answered<'a> {
    command: &'a InvokeCommand,
    call: &'a Call,
    response: Response<Incoming>,
    clock: Clock,
    timing: Timing,
}

/// An answer that was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Kept {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl<'a> Answered<'a> {
    pub(super) fn new(
        command: &'a InvokeCommand,
        call: &'a Call,
        response: Response<Incoming>,
        clock: Clock,
        timing: Timing,
    ) -> Self {
        Self {
            command,
            call,
            response,
            clock,
            timing,
        }
    }

    fn field(&self, name: &str) -> String {
        let value = self.response.headers().get(name);
        let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        text.unwrap_or_default()
    }

    /// Prints the body as it comes; an error of the host's becomes one line.
    pub(super) async fn print(self) -> Result<(), Failure> {
        let (command, call) = (self.command, self.call);
        let (clock, timing) = (self.clock, self.timing);
        let request_id = self.field("webtask-request-id");
        let printed = self.print_body().await;
        let times = clock.times(&timing);
        command.after(call, &request_id, &times).await;
        printed
    }

    async fn print_body(self) -> Result<(), Failure> {
        let status = self.response.status();
        let by_host = self.field("webtask-source") == "host";
        let in_log = self.in_log();
        let is_error = status.is_client_error() || status.is_server_error();
        if by_host && !status.is_success() {
            return Err(problem(self.response, &in_log).await);
        }
        let mut out = match is_error && self.command.fail {
            true => None,
            false => Some(Out::open(&self.command.sink())?),
        };
        let mut body = self.response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| broken(&error, &in_log))?;
            if let (Some(data), Some(out)) = (frame.data_ref(), &mut out) {
                out.write(data)?;
            }
        }
        if is_error {
            return Err(Failure::refused(format!("the webtask answered {status}")).hint(in_log));
        }
        Ok(())
    }

    /// Where more is to be found about it.
    fn in_log(&self) -> String {
        let id = self.field("webtask-request-id");
        format!(
            "the host's log has the cause under the request id {id}; with a token that may read it: webtask logs --text {id}"
        )
    }

    /// Reads all of the answer, whoever answered.
    pub(super) async fn keep(self) -> Result<(Kept, String, String), Failure> {
        let request_id = self.field("webtask-request-id");
        let in_log = self.in_log();
        let status = self.response.status().as_u16();
        let body = Limited::new(self.response.into_body(), KEPT)
            .collect()
            .await;
        let body = body.map_err(|error| {
            Failure::refused(format!("the answer broke off: {error}")).hint(in_log)
        })?;
        let kept = Kept {
            status,
            body: body.to_bytes(),
        };
        Ok((kept, request_id, self.clock.times(&self.timing)))
    }
}

fn broken(error: &hyper::Error, in_log: &str) -> Failure {
    Failure::refused(format!("the answer broke off: {error}")).hint(in_log.to_owned())
}

async fn problem(response: Response<Incoming>, in_log: &str) -> Failure {
    let status = response.status();
    let whole = Limited::new(response.into_body(), 64 << 10).collect().await;
    let whole = match whole {
        Ok(whole) => whole.to_bytes(),
        Err(error) => {
            return Failure::refused(format!("the answer broke off: {error}"))
                .hint(in_log.to_owned());
        }
    };
    match serde_json::from_slice::<Problem>(&whole) {
        Ok(problem) => Failure::refused(format!(
            "{} {}: {}",
            status.as_u16(),
            problem.code,
            problem.title
        ))
        .hint(in_log.to_owned()),
        Err(_) => Failure::refused(format!("the host answered {status}")),
    }
}

/// Something to write to.
pub(super) enum Out {
    File(File, PathBuf),
    Stdout,
}

impl Out {
    pub(super) fn open(sink: &Sink) -> Result<Self, Failure> {
        let Sink::File(path) = sink else {
            return Ok(Self::Stdout);
        };
        let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Self::File(file, path.clone()))
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(file, path) => {
                let written = file.write_all(data);
                written.map_err(|error| cannot_write(path, &error))
            }
            Self::Stdout => print(data),
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", path.display()))
}
