//! What the author of a webtask is told of a request that failed, and what to change.
//!
//! Authors read this over the network, operators read the log of the process: nothing stands here of mirrors, of
//! addresses behind names, or of the host's own failures.

use super::{Blame, Error};
use crate::{invoke::InvokeError, loader::LoadError, text};

/// A world without the handler: what the linker says, and what of it the audit says.
const NO_HANDLER: [&str; 2] = ["no exported instance named", "handler"];

impl Error {
    /// A line for the author's log, for a token whose code is at `url`. None where the log of the invocation has it
    /// already.
    pub(crate) fn author(&self, url: &str) -> Option<String> {
        let code = self.code();
        if self.blame() == Blame::Host {
            return Some(format!(
                "{code}: the host did not serve the request; its operator finds the cause under the request id"
            ));
        }
        let said = match self {
            Self::Invoke(error) if error.is_in_log() => return None,
            Self::Load(error) => of_load(error, url.split('?').next().unwrap_or_default()),
            _ => text::chain(self),
        };
        Some(match self.mend() {
            Some(mend) => format!("{code}: {said}; {mend}"),
            None => format!("{code}: {said}"),
        })
    }

    /// What to change, where the text of the error does not say so itself.
    fn mend(&self) -> Option<&'static str> {
        Some(match self {
            Self::BodyTooLarge { .. } => {
                "send less, or have the limit request-bytes raised; a token may have lowered it (--limit request=…)"
            }
            Self::MethodDenied | Self::OriginDenied | Self::PathDenied => {
                "a holder narrowed the token; use the one that it was made from, or narrow it otherwise"
            }
            Self::RateLimited { .. } => {
                "call less often, or mint a token with a higher --limit rate=…"
            }
            Self::TenantRateLimited { .. } => {
                "call less often; its operator would raise rate of the tenant's table"
            }
            Self::Invoke(error) => return error.mend(),
            Self::Load(error) => match &**error {
                LoadError::Invalid { reason, .. }
                    if NO_HANDLER.iter().all(|part| reason.contains(part)) =>
                {
                    "a webtask answers requests: it exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3; in Rust #[webtask::main] on `async fn main(request: Request)` makes that export"
                }
                LoadError::CompileMemory { .. }
                | LoadError::CompiledTooLarge { .. }
                | LoadError::TooLarge { .. } => {
                    "build it smaller: opt-level = \"s\", lto = \"fat\", strip = true, fewer dependencies"
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// The error with the token's own URL in the place of wherever the host looked.
fn of_load(error: &LoadError, url: &str) -> String {
    match error {
        LoadError::Fetch { reason, .. } => format!("cannot fetch {url}: {}", of_reason(reason)),
        LoadError::Timeout { what, limit, .. } => {
            format!("{what} {url} took longer than {limit:?}")
        }
        LoadError::TooLarge { limit, .. } => {
            format!("{url} is larger than {limit} bytes, the limit component-bytes")
        }
        LoadError::Digest {
            expected, found, ..
        } => format!(
            "the code at {url} has SHA-256 {found}, the token names {expected}; mint a token for the new code"
        ),
        other => other.to_string(),
    }
}

/// Why nothing was fetched, as far as it is about the origin. The rest may be about the operator's network.
fn of_reason(reason: &str) -> &str {
    const TOLD: [&str; 5] = [
        "the origin ",
        "more than ",
        "an image has ",
        "the manifest is larger",
        "a redirect without",
    ];
    const INSTEAD: [(&str, &str); 5] = [
        (
            "not a public address",
            "its name has no public address, and code comes from public ones",
        ),
        ("cannot resolve", "its name does not resolve"),
        ("cannot connect", "nobody accepts connections there"),
        ("TLS with", "the TLS handshake failed"),
        ("No such file", "there is no such file"),
    ];
    if TOLD.iter().any(|told| reason.starts_with(told)) {
        return reason;
    }
    let instead = INSTEAD.iter().find(|(said, _)| reason.contains(said));
    instead.map_or(
        "the operator finds the reason under the request id",
        |(_, instead)| instead,
    )
}

impl InvokeError {
    /// Whether the log of the invocation says so, with where it was.
    fn is_in_log(&self) -> bool {
        !matches!(
            self,
            Self::Guest(_) | Self::NoResponse | Self::Panicked | Self::ResponseTooLarge { .. }
        )
    }

    /// What to change, for the author's log.
    pub(crate) fn mend(&self) -> Option<&'static str> {
        Some(match self {
            Self::Cpu { .. } => {
                "is there a loop without an end? otherwise do less in one request, or have cpu raised: a token lowers it (--limit cpu=…), the operator sets it in [limits]"
            }
            Self::Deadline { .. } => {
                "does it wait for something that does not come? give outbound calls a time limit, or have wall raised: a token lowers it (--limit wall=…), the operator sets it in [limits]"
            }
            Self::Guest(_) => "the handler answered with an error instead of a response",
            Self::Headers(_) => "set fewer or shorter header fields",
            Self::Hostcall(_) => "hand over large texts and lists in parts",
            Self::Memory(_) => {
                "hold less at the same time, stream bodies instead of gathering them, or have memory raised: a token lowers it (--limit memory=…), the operator sets it in [limits]"
            }
            Self::NoResponse => "the handler has to return a response, or set one, before it ends",
            Self::Random { .. } => "take a seed, and make random numbers of it",
            Self::Resources(_) => {
                "drop streams, bodies and requests when they are done with, and have fewer at the same time"
            }
            Self::ResponseTooLarge { .. } => {
                "answer in parts, or have response-bytes raised: a token lowers it (--limit response=…), the operator sets it in [limits]"
            }
            Self::Stack(_) => "is there a recursion without an end? the backtrace shows it",
            Self::Table(_) => "the code makes a table of more elements than any toolchain does",
            Self::Overloaded(_) | Self::Panicked | Self::Trap(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn load(error: LoadError) -> String {
        let url = "https://code.example.com/a.wasm?key=1";
        let told = Error::Load(Arc::new(error)).author(url);
        told.unwrap_or_default()
    }

    /// What an operator's log says of his network is not for tenants.
    #[test]
    fn an_author_reads_nothing_of_mirrors_and_addresses() {
        let mirror = "http://mirror.internal/code/a.wasm".to_owned();
        for reason in [
            "no connection: code.example.com is 10.1.2.3, which is not a public address",
            "no connection: cannot resolve mirror.internal: from 10.0.0.53",
            "no connection: cannot connect to mirror.internal:80: refused",
            "credentials of /etc/registries.json",
        ] {
            let told = load(LoadError::Fetch {
                url: mirror.clone(),
                reason: reason.to_owned(),
            });
            assert!(
                told.starts_with("component-fetch: cannot fetch https://code.example.com/a.wasm: "),
                "{told}"
            );
            for hidden in ["mirror", "10.", "/etc", "key="] {
                assert!(!told.contains(hidden), "{told}");
            }
        }
        let told = load(LoadError::Fetch {
            url: mirror.clone(),
            reason: "the origin answered 404 Not Found".to_owned(),
        });
        assert!(
            told.ends_with("the origin answered 404 Not Found"),
            "{told}"
        );
        let told = load(LoadError::Timeout {
            what: "fetching",
            url: mirror,
            limit: std::time::Duration::from_secs(1),
        });
        assert!(!told.contains("mirror"), "{told}");
        let told = Error::Internal("thread at /srv/x".to_owned())
            .author("")
            .unwrap_or_default();
        assert!(
            told.starts_with("internal: ") && !told.contains("/srv"),
            "{told}"
        );
    }
}
