//! Has the secret sent to where it does not belong.
use crate::{Place, each};
use webtask_test_guests::{Call, Method};

const PLACEHOLDERS: &str =
    "{} {{key}} ${key} $key %key% <key> [key] {{secrets.key}} ${secrets.key} @key key Bearer {}";

pub(crate) async fn placeholder_in_body(place: &Place) -> Vec<u8> {
    let calls = [(&place.target, "/slot/echo?in=sent"), (&place.other, "/")];
    each(calls, async |(to, path)| {
        let call = Call::get(to, path).post(PLACEHOLDERS.as_bytes());
        call.send().await
    })
    .await
}

pub(crate) async fn placeholder_in_header(place: &Place) -> Vec<u8> {
    let names = [
        "x-key",
        "user-agent",
        "origin",
        "referer",
        "cookie",
        "authorization",
    ];
    let fields = names.map(|name| (name, PLACEHOLDERS.as_bytes())).to_vec();
    let mut to_other = Call::get(&place.other, "/");
    to_other.fields = fields.clone();
    let mut to_target = Call::get(&place.target, "/slot/echo?in=sent");
    to_target.fields = fields;
    to_target.fields.pop();
    [to_other.send().await, to_target.send().await].concat()
}

pub(crate) async fn placeholder_in_path(place: &Place) -> Vec<u8> {
    let paths = ["/{}", "/?key={}", "/$key", "/%7B%7D?%7Bkey%7D"];
    let to_target = each(paths, async |path| {
        let path = format!("/slot/echo{path}&in=sent");
        Call::get(&place.target, &path).send().await
    });
    let to_other = each(paths, async |path| {
        Call::get(&place.other, path).send().await
    });
    [to_target.await, to_other.await].concat()
}

pub(crate) async fn other_host(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.other, "/slot/echo?in=body");
    call.send().await
}

pub(crate) async fn other_path(place: &Place) -> Vec<u8> {
    to_paths(
        place,
        &[
            "/echo?in=body",
            "/slot",
            "/Slot/echo?in=body",
            "/slotx/echo?in=body",
        ],
    )
    .await
}

async fn to_paths(place: &Place, paths: &[&str]) -> Vec<u8> {
    each(paths, async |path| {
        Call::get(&place.target, path).send().await
    })
    .await
}

pub(crate) async fn other_method(place: &Place) -> Vec<u8> {
    let methods = [
        Method::Put,
        Method::Head,
        Method::Options,
        Method::Trace,
        Method::Connect,
        Method::Other("get".into()),
    ];
    each(methods, async |method| {
        let mut call = Call::get(&place.target, "/slot/echo?in=body");
        call.method = method;
        call.send().await
    })
    .await
}

pub(crate) async fn tricks_with_the_path(place: &Place) -> Vec<u8> {
    to_paths(
        place,
        &[
            "/slot/../echo?in=body",
            "/slot/%2e%2e/echo?in=body",
            "//slot/echo?in=body",
            "/slot//echo?in=body",
            "/slot%2fecho?in=body",
            "/slot/./echo?in=body",
            "/slot\\echo?in=body",
        ],
    )
    .await
}

pub(crate) async fn tricks_with_the_host(place: &Place) -> Vec<u8> {
    let (target, other) = (&place.target, &place.other);
    let authorities = [
        format!("{target}@{other}"),
        format!("{other}#{target}"),
        format!("{target}.{other}"),
        format!("{target},{other}"),
        format!("{target} {other}"),
    ];
    let path = "/slot/echo?in=body";
    let mut got = each(&authorities, async |to| Call::get(to, path).send().await).await;
    for name in [
        "host",
        "Host",
        "forwarded",
        "x-forwarded-host",
        "x-original-url",
        ":authority",
    ] {
        got.extend(Call::get(other, path).with(name, target).send().await);
        got.extend(Call::get(target, path).with(name, other).send().await);
    }
    got
}

pub(crate) async fn follow_a_redirect(place: &Place) -> Vec<u8> {
    let asked = format!("to=http://{}/slot/echo", place.other);
    let first = place.echo(&asked).await;
    let text = String::from_utf8_lossy(&first).into_owned();
    let to = text
        .lines()
        .find_map(|line| line.strip_prefix("location: http://"))
        .unwrap_or_default();
    let (authority, path) = to.split_once('/').unwrap_or((to, ""));
    let path = format!("/{path}");
    [first, Call::get(authority, &path).send().await].concat()
}
