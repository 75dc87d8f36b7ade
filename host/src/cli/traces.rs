//! Where spans go, as OpenTelemetry's environment variables say it.

use std::{env, time::Duration};

use webtask_host::Traces;

use super::Failure;

/// The path below a general endpoint (OTLP, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

/// None where no endpoint is set, or where the variables turn spans off.
///
/// The library reads `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_BSP_*` itself.
pub(super) fn from_environment() -> Result<Option<Traces>, Failure> {
    let said = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let off = said("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || said("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let general = said("OTEL_EXPORTER_OTLP_ENDPOINT")
        .map(|base| format!("{}{PATH}", base.trim_end_matches('/')));
    let Some(endpoint) = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or(general) else {
        return Ok(None);
    };
    if off {
        return Ok(None);
    }
    let protocol =
        said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| said("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
        return Err(Failure::usage(format!(
            "spans are not exported as {other:?}, which OTEL_EXPORTER_OTLP_PROTOCOL asks for"
        ))
        .hint("write http/protobuf, and the collector's port for it, usually 4318"));
    }
    let mut traces = Traces::to(endpoint);
    if let Some(service) = said("OTEL_SERVICE_NAME") {
        traces.service = service;
    }
    let timeout =
        said("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| said("OTEL_EXPORTER_OTLP_TIMEOUT"));
    if let Some(text) = timeout {
        let ms = text.parse().map_err(|_| {
            Failure::usage(format!(
                "OTEL_EXPORTER_OTLP_TIMEOUT is {text:?}, which is no number of milliseconds"
            ))
        })?;
        traces.timeout = Duration::from_millis(ms);
    }
    Ok(Some(traces))
}
