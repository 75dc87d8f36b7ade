//! Hello without the SDK: what the size and the time of the example `hello` are held against.
use webtask_test_guests::{path, raw};

fn hello(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let name = path.trim_start_matches('/');
    let name = if name.is_empty() { "world" } else { name };
    format!("Hello, {name}!\n")
}

#[cfg(not(feature = "p3"))]
raw!(|request, out| {
    use webtask_test_guests::{OutgoingBody, begin, write};
    let text = hello(&path(&request));
    let length = text.len().to_string();
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", &length),
    ];
    let body = begin(out, &headers);
    write(&body, text.as_bytes());
    let _ = OutgoingBody::finish(body, None);
});

#[cfg(feature = "p3")]
raw!(async |request| {
    let text = hello(&path(&request));
    let length = text.len().to_string();
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", length.as_str()),
    ];
    Ok(webtask_test_guests::response(&headers, text))
});
