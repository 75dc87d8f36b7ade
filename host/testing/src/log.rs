use serde::Deserialize;

/// A line of the live log.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub level: String,
    /// The request it is of, as in the field `webtask-request-id` of its answer.
    pub request_id: String,
    /// `stdout`, `stderr`, what the webtask chose, or `webtask` for the runtime.
    pub context: String,
    /// What it says.
    pub message: String,
}

/// The events `log` of a stream of events (WHATWG HTML, section 9.2.6), each of which has one line of data.
pub(crate) fn lines(stream: &[u8]) -> Vec<Line> {
    let stream = String::from_utf8_lossy(stream);
    let line_of = |event: &str| {
        let of_log = event.lines().any(|line| line == "event: log");
        let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
        serde_json::from_str(data).ok().filter(|_| of_log)
    };
    stream.split("\n\n").filter_map(line_of).collect()
}
