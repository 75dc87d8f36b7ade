//! Makes `?n=` calls to `url=`, which comes last, `&wide=` at the same time, `&up=` bytes in each request. Reads each answer to its end, or
//! with `&way=head` none of it; with `&way=abandon` the request breaks off. Answers with one line a call: the status and the bytes read, or the error's code.
use webtask::{Body, Bytes, Error, Request, Response, SendError, http};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let asked = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let number = |name, default| {
        query(&asked, name)
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (n, wide, up): (usize, usize, usize) = (number("n", 1), number("wide", 1), number("up", 0));
    let (_, url) = asked.split_once("url=").unwrap_or_default();
    let (whole, abandon) = (
        query(&asked, "way") != Some("head"),
        query(&asked, "way") == Some("abandon"),
    );
    let mut lines = Vec::new();
    while lines.len() < n {
        let now = wide.min(n - lines.len());
        let calls: Vec<_> = (0..now)
            .map(|_| webtask::spawn(call(url.to_owned(), upload(up, abandon), whole)))
            .collect();
        for call in calls {
            lines.push(call.await);
        }
    }
    Ok(webtask::text(lines.join("\n")))
}

async fn call(url: String, upload: Body, whole: bool) -> String {
    let request = http::Request::post(url).body(upload).expect("a URL");
    let answer = match webtask::send(request).await {
        Ok(answer) => answer,
        Err(error) => return error.code().to_owned(),
    };
    let (head, body) = answer.into_parts();
    let read = if whole { drain(body).await } else { Ok(0) };
    match read {
        Ok(read) => format!("{} {read}", head.status.as_u16()),
        Err(error) => code_of(&error),
    }
}

async fn drain(mut body: Body) -> Result<usize, Error> {
    let mut read = 0;
    while let Some(chunk) = body.chunk().await? {
        read += chunk.len();
    }
    Ok(read)
}

fn code_of(error: &Error) -> String {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<SendError>());
    match cause.map_or("", SendError::code) {
        "" => error.to_string(),
        code => code.to_owned(),
    }
}

fn upload(mut left: usize, abandon: bool) -> Body {
    if left == 0 {
        return Body::empty();
    }
    Body::stream(async move |writer| {
        let zeros = Bytes::from_static(&[0; 16 * 1024]);
        while left > 0 {
            let now = left.min(zeros.len());
            writer.write(zeros.slice(..now)).await;
            left -= now;
        }
        if abandon {
            return Err(Error::bad_request("abandoned"));
        }
        Ok(())
    })
}
