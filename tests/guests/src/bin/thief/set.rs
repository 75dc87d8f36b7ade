//! Sets the slot's header itself, writes frames of its own, and tells what it has to the log.
use crate::{Place, each};
use webtask::secrets;
use webtask_test_guests::Call;

/// Where the echo tells what it was sent beside the secret.
const SENT: &str = "/slot/echo?in=sent";

pub(crate) async fn set_the_header_too(place: &Place) -> Vec<u8> {
    let fields: [&[(&str, &str)]; 7] = [
        &[("authorization", "mine")],
        &[("Authorization", "mine")],
        &[("AUTHORIZATION", "mine")],
        &[("aUtHoRiZaTiOn", "mine")],
        &[("authorization", "")],
        &[("authorization", "a"), ("Authorization", "b")],
        &[("authorization ", "mine")],
    ];
    each(fields, async |fields| {
        let mut call = Call::get(&place.target, SENT);
        for (name, value) in fields {
            call = call.with(name, value);
        }
        call.send().await
    })
    .await
}

pub(crate) async fn set_it_as_trailer(place: &Place) -> Vec<u8> {
    let names = [
        "authorization",
        "Authorization",
        "host",
        "content-length",
        "transfer-encoding",
        "cookie",
    ];
    each(names, async |name| {
        let mut call = Call::get(&place.target, SENT).post(b"body");
        call.trailers = vec![(name, b"mine")];
        call.send().await
    })
    .await
}

/// A second request within the first, which the target would answer with what it was sent.
pub(crate) async fn smuggle_a_request(place: &Place) -> Vec<u8> {
    let inner = format!(
        "GET /slot/echo?in=body HTTP/1.1\r\nhost: {}\r\n\r\n",
        place.target
    );
    let frames: [&[(&str, &str)]; 7] = [
        &[("content-length", "0")],
        &[("content-length", "5")],
        &[("Content-Length", "+5")],
        &[("transfer-encoding", "chunked")],
        &[("Transfer-Encoding", "identity")],
        &[("x", "y\r\nauthorization: z")],
        &[("content-length", "5"), ("content-length", "6")],
    ];
    let got = each(frames, async |fields| {
        let mut call = Call::get(&place.target, SENT).post(inner.as_bytes());
        for (name, value) in fields {
            call = call.with(name, value);
        }
        call.send().await
    });
    let in_path = Call::get(&place.target, "/slot/echo HTTP/1.1\r\nx: y\r\n\r\n");
    [got.await, in_path.send().await].concat()
}

/// Whatever stands in `connection` a proxy takes out, and whatever `te` allows may come as a trailer.
pub(crate) async fn name_it_a_hop(place: &Place) -> Vec<u8> {
    let fields = [
        "connection",
        "Connection",
        "keep-alive",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
        "expect",
        "webtask-token",
    ];
    each(fields, async |name| {
        let call = Call::get(&place.target, "/slot/echo?in=body").with(name, "authorization");
        call.send().await
    })
    .await
}

pub(crate) async fn tell_the_log(place: &Place) -> Vec<u8> {
    let got = place.echo("in=body").await;
    for line in String::from_utf8_lossy(&got).lines() {
        webtask::log::error!("{line}");
        eprintln!("{line}");
    }
    format!("{:?}", secrets::get("key")).into_bytes()
}
