//! Lets the target send back what it was sent, in every form that comes to mind.
use crate::{Place, each};
use webtask_test_guests::Call;

pub(crate) async fn reflect_in_body(place: &Place) -> Vec<u8> {
    place.echo("in=body").await
}

pub(crate) async fn reflect_in_header(place: &Place) -> Vec<u8> {
    place.echo("in=header").await
}

pub(crate) async fn reflect_in_header_name(place: &Place) -> Vec<u8> {
    place.echo("in=name").await
}

pub(crate) async fn reflect_in_cookie(place: &Place) -> Vec<u8> {
    place.echo("in=cookie").await
}

pub(crate) async fn reflect_in_location(place: &Place) -> Vec<u8> {
    place.echo("in=location").await
}

pub(crate) async fn reflect_in_trailer(place: &Place) -> Vec<u8> {
    place.echo("in=trailer").await
}

pub(crate) async fn reflect_in_error_page(place: &Place) -> Vec<u8> {
    let pages = ["in=body&status=401", "in=body&status=500&form=html"];
    place.echoes(pages).await
}

pub(crate) async fn reflect_in_pieces(place: &Place) -> Vec<u8> {
    let pieces = (1..=8).map(|size| format!("in=body&cut={size}"));
    place.echoes(pieces).await
}

pub(crate) async fn reflect_base64(place: &Place) -> Vec<u8> {
    let padded = ["", "a", "aa"].map(|before| format!("in=body&form=base64&before={before}"));
    let got = place.echoes(padded).await;
    [got, place.echo("in=header&form=base64").await].concat()
}

pub(crate) async fn reflect_base64url(place: &Place) -> Vec<u8> {
    let padded = ["", "a", "aa"].map(|before| format!("in=body&form=base64url&before={before}"));
    place.echoes(padded).await
}

pub(crate) async fn reflect_hex(place: &Place) -> Vec<u8> {
    place.echo("in=body&form=hex").await
}

pub(crate) async fn reflect_percent(place: &Place) -> Vec<u8> {
    let forms = [
        "in=body&form=percent",
        "in=location&form=percent",
        "in=body&form=percent-all",
    ];
    place.echoes(forms).await
}

pub(crate) async fn reflect_json(place: &Place) -> Vec<u8> {
    place.echo("in=body&form=json").await
}

pub(crate) async fn reflect_html(place: &Place) -> Vec<u8> {
    place.echo("in=body&form=html").await
}

pub(crate) async fn reflect_utf16(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.target, "/slot/echo?in=body&negotiate");
    let asked = call.with("accept-charset", "utf-16").send().await;
    [asked, place.echo("in=body&form=utf16").await].concat()
}

pub(crate) async fn reflect_gzip(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.target, "/slot/echo?in=body&negotiate")
        .with("accept-encoding", "x-rot13")
        .with("Accept-Encoding", "x-rot13;q=1");
    call.send().await
}

/// The echo ignores what is accepted.
pub(crate) async fn forced_gzip(place: &Place) -> Vec<u8> {
    let codings = [
        "in=body&form=rot13&coding=x-rot13",
        "in=body&form=rot13&transfer=x-rot13",
    ];
    place.echoes(codings).await
}

pub(crate) async fn reflect_range(place: &Place) -> Vec<u8> {
    each((0..200).step_by(5), async |from| {
        let range = format!("bytes={from}-{}", from + 4);
        let call = Call::get(&place.target, "/slot/echo?in=body&negotiate")
            .with("range", &range)
            .with("if-range", "\"x\"");
        call.send().await
    })
    .await
}

pub(crate) async fn forced_part(place: &Place) -> Vec<u8> {
    let parts = (0..20).map(|n| format!("in=body&status=206&part={n}"));
    let lies = (0..20).map(|n| format!("in=body&status=200&content-range&part={n}"));
    place.echoes(parts.chain(lies)).await
}

/// Neither generation of WASI shows one: it gets what may come of it.
pub(crate) async fn reflect_as_early_hint(place: &Place) -> Vec<u8> {
    place.echo("in=hint").await
}

pub(crate) async fn reflect_as_upgrade(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.target, "/slot/echo?in=body&status=101").with("upgrade", "x");
    let asked = call.send().await;
    [asked, place.echo("in=body&status=101").await].concat()
}
