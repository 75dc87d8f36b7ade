//! Caveats and ceilings in words and in JSON.

use serde_json::{Map, Value, json};
use webtask_token::{Caveat, Ceiling, Grant, Limits};

use super::utc;

/// Text of a token for a terminal: what would control it is written as an escape.
pub(super) fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}

/// What a caveat takes away, a line each.
pub(super) fn caveat(caveat: &Caveat) -> Vec<String> {
    let Caveat {
        exp,
        nbf,
        methods,
        path,
        origins,
        params,
        lim,
        out,
        note,
    } = caveat;
    let mut lines = Vec::new();
    lines.extend(nbf.map(|nbf| format!("not before {}", utc(nbf))));
    lines.extend(exp.map(|exp| format!("until {}", utc(exp))));
    lines.extend(methods.as_ref().map(|m| format!("only {}", m.join(", "))));
    lines.extend(
        path.as_ref()
            .map(|path| format!("only path {}", plain(path))),
    );
    lines.extend(
        origins
            .as_ref()
            .map(|o| format!("only from pages of {}", o.join(", "))),
    );
    let fixed = params.iter();
    lines.extend(fixed.map(|(name, value)| format!("with param {name}={}", plain(value))));
    lines.extend(
        limits(lim)
            .into_iter()
            .map(|limit| format!("limit {limit}")),
    );
    match out.as_deref() {
        None => {}
        Some([]) => lines.push("no outbound requests".to_owned()),
        Some(grants) => lines.extend(grants.iter().map(|g| format!("outbound only {g}"))),
    }
    lines.extend(note.as_ref().map(|note| format!("note: {}", plain(note))));
    lines
}

/// `memory=67108864 bytes`
pub(super) fn limits(lim: &Limits) -> Vec<String> {
    let limit = |(name, limit)| {
        let unit = match name {
            "cpu" | "wall" => "ms",
            "calls" => "",
            "rate" => " a minute",
            _ => " bytes",
        };
        format!("{name}={limit}{unit}")
    };
    lim.iter().map(limit).collect()
}

/// What an issuer token may mint, a line each.
pub(super) fn ceiling(ceiling: &Ceiling) -> Vec<(&'static str, String)> {
    let mut rows: Vec<_> = ceiling
        .urls
        .iter()
        .map(|url| ("mint url", plain(url)))
        .collect();
    rows.push(("mint life", format!("{} seconds at most", ceiling.life)));
    if ceiling.unpinned {
        rows.push(("mint", "unpinned code as well".to_owned()));
    }
    rows.extend(ceiling.out.iter().map(|g| ("mint allow", g.to_string())));
    rows.extend(limits(&ceiling.lim).into_iter().map(|l| ("mint limit", l)));
    rows.extend(ceiling.params.iter().map(|p| ("mint param", p.clone())));
    rows.extend(ceiling.secrets.iter().map(|s| ("mint secret", s.clone())));
    rows.extend(ceiling.via.iter().map(|_| ("mint via", "path".to_owned())));
    rows
}

pub(super) fn limits_json(lim: &Limits) -> Value {
    lim.iter()
        .map(|(name, limit)| (name.to_owned(), json!(limit)))
        .collect::<Map<_, _>>()
        .into()
}

pub(super) fn grants_json(grants: &[Grant]) -> Value {
    grants.iter().map(ToString::to_string).collect()
}

/// A caveat in the form of SPEC.md, section 13.
pub(super) fn caveat_json(caveat: &Caveat) -> Value {
    let fields = [
        ("exp", caveat.exp.map(Value::from)),
        ("nbf", caveat.nbf.map(Value::from)),
        ("methods", caveat.methods.clone().map(Value::from)),
        ("path", caveat.path.clone().map(Value::from)),
        ("origins", caveat.origins.clone().map(Value::from)),
        (
            "params",
            (!caveat.params.is_empty()).then(|| json!(caveat.params)),
        ),
        (
            "lim",
            (caveat.lim != Limits::default()).then(|| limits_json(&caveat.lim)),
        ),
        ("out", caveat.out.as_deref().map(grants_json)),
        ("note", caveat.note.clone().map(Value::from)),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

/// A ceiling in the same form.
pub(super) fn ceiling_json(ceiling: &Ceiling) -> Value {
    json!({
        "urls": ceiling.urls,
        "life": ceiling.life,
        "out": grants_json(&ceiling.out),
        "lim": limits_json(&ceiling.lim),
        "params": ceiling.params,
        "secrets": ceiling.secrets,
        "via": ceiling.via.iter().map(|_| "path").collect::<Vec<_>>(),
        "unpinned": ceiling.unpinned,
    })
}
