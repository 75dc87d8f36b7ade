//! Sends a whole body and its trailers, then panics.
use webtask_test_guests::{Fields, raw};

fn last() -> Fields {
    let fields = Fields::new();
    let _ = fields.append("x-last", b"1");
    fields
}

#[cfg(not(feature = "p3"))]
raw!(|_, out| {
    use webtask_test_guests::{OutgoingBody, begin, write};
    let body = begin(out, &[]);
    write(&body, b"all of it");
    let _ = OutgoingBody::finish(body, Some(last()));
    panic!("after its end");
});

#[cfg(feature = "p3")]
raw!(async |_| {
    use webtask::__bindings::{wit_future, wit_stream};
    let (mut to, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = webtask_test_guests::Response::new(Fields::new(), Some(contents), trailers);
    drop(webtask::__private::spawn_local(async move {
        let _ = to.write_all(b"all of it".to_vec()).await;
        drop(to);
        let _ = end.write(Ok(Some(last()))).await;
        panic!("after its end");
    }));
    Ok(response)
});
