//! `Router`: which function answers which method and path.
use crate::body::Pending;
use crate::{Error, Method, Request, Response};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt;

type Handler<'a> = Box<dyn FnOnce(Request) -> Pending<'a, Result<Response, Error>> + 'a>;

struct Route<'a> {
    method: Method,
    pattern: &'static str,
    handler: Handler<'a>,
}

/// Calls the first function whose method and path are those of the request.
///
/// A path is made of segments. One in braces takes any segment that is not empty, and [`Request::capture`] returns it,
/// percent-decoded. A last one `{*name}` takes all that follows, one segment or more. Everything else is compared as it
/// stands, after percent-decoding; `/` at the end counts.
///
/// ```
/// use webtask::{Error, Request, Response, Router};
///
/// # /*
/// #[webtask::main]
/// # */
/// async fn orders(request: Request) -> Result<Response, Error> {
///     Router::new()
///         .get("/orders/{id}", show)
///         .post("/orders", create)
///         .get("/", async |_| Ok::<_, Error>(webtask::text("orders: /orders/{id}\n")))
///         .serve(request)
///         .await
/// }
///
/// async fn show(request: Request) -> Result<Response, Error> {
///     let id: u64 = request.capture("id")?;
///     Ok(webtask::text(format!("order {id}\n")))
/// }
///
/// async fn create(request: Request) -> Result<Response, Error> {
///     let order: String = request.json().await?;
///     Ok(webtask::text(order))
/// }
/// # use webtask::{Body, testing::{World, block_on}};
/// # let call = |builder: webtask::Builder| block_on(World::new().call(orders, builder.build().unwrap()));
/// # assert_eq!(call(Request::get("/orders/7")).status(), 200);
/// # assert_eq!(call(Request::get("/orders/x")).status(), 400);
/// # assert_eq!(call(Request::get("/orders")).status(), 405);
/// ```
///
/// Without a route the answer is 404; with one for another method it is 405, whose `allow` names those there are.
/// `GET` answers `HEAD` as well: the host sends no body then.
#[derive(Default)]
#[must_use = "a router does nothing until it serves"]
pub struct Router<'a> {
    routes: Vec<Route<'a>>,
}

impl<'a> Router<'a> {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route for `method` and `pattern`.
    pub fn route<F, R, E>(mut self, method: Method, pattern: &'static str, handler: F) -> Self
    where
        F: AsyncFnOnce(Request) -> Result<R, E> + 'a,
        R: Into<Response>,
        E: Into<Error>,
    {
        self.routes.push(Route {
            method,
            pattern,
            handler: Box::new(move |request| {
                Box::pin(async move { handler(request).await.map(Into::into).map_err(Into::into) })
            }),
        });
        self
    }

    /// Calls the function, or says why there is none.
    ///
    /// # Errors
    /// Those of the function; 404 or 405; 400 if the path has an escape that is none, or is not UTF-8; 500 if a pattern is
    /// none, and the log says which.
    pub async fn serve(self, mut request: Request) -> Result<Response, Error> {
        let segments = segments(request.path())
            .ok_or_else(|| Error::bad_request("the path is not percent-encoded UTF-8"))?;
        let mut allowed = Vec::new();
        for route in self.routes {
            let Some(captures) = route.captures(&segments)? else {
                continue;
            };
            let head_of_get = route.method == Method::GET && *request.method() == Method::HEAD;
            if route.method == *request.method() || head_of_get {
                drop(segments);
                request.set_captures(captures);
                return (route.handler)(request).await;
            }
            allowed.push(route.method);
        }
        Err(match allowed.is_empty() {
            true => Error::not_found("there is nothing at this path"),
            false => not_allowed(&allowed),
        })
    }
}

macro_rules! methods {
    ($($name:ident $method:ident)*) => {
        impl<'a> Router<'a> { $(
            #[doc = concat!("Adds a route for `", stringify!($method), "` and `pattern`.")]
            pub fn $name<F, R, E>(self, pattern: &'static str, handler: F) -> Self
            where
                F: AsyncFnOnce(Request) -> Result<R, E> + 'a,
                R: Into<Response>,
                E: Into<Error>,
            {
                self.route(Method::$method, pattern, handler)
            }
        )* }
    };
}
methods! { get GET post POST put PUT patch PATCH delete DELETE }

impl fmt::Debug for Router<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes.iter();
        let mut list = f.debug_list();
        list.entries(routes.map(|route| (&route.method, route.pattern)));
        list.finish()
    }
}

/// The segments of a path, percent-decoded.
fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let decoded = segments.map(|segment| {
        let mut escapes = segment.split('%').skip(1);
        let is_whole = escapes.all(|escape| {
            let digits = escape.as_bytes().first_chunk::<2>();
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
        let decoded = percent_decode_str(segment).decode_utf8().ok();
        decoded.filter(|_| is_whole)
    });
    decoded.collect()
}

type Captures = Vec<(&'static str, String)>;

/// A part of a pattern, between two slashes.
enum Part {
    Fixed(&'static str),
    One(&'static str),
    Rest(&'static str),
}

impl Part {
    fn parse(text: &'static str) -> Option<Self> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let (part, name) = match inner.map(|name| (name, name.strip_prefix('*'))) {
            None => (Self::Fixed(text), text),
            Some((_, Some("")) | ("", None)) => return None,
            Some((_, Some(name))) => (Self::Rest(name), name),
            Some((name, None)) => (Self::One(name), name),
        };
        Some(part).filter(|_| !name.contains(['{', '}']))
    }
}

impl Route<'_> {
    /// What the braces take, if the path is of this route.
    ///
    /// # Errors
    /// If the pattern is none.
    fn captures(&self, segments: &[Cow<'_, str>]) -> Result<Option<Captures>, Error> {
        let wrong = || {
            let cause = ["the pattern `", self.pattern, "` is not one of a route"];
            Error::internal(cause.concat())
        };
        let pattern = self.pattern.strip_prefix('/').ok_or_else(wrong)?;
        let mut rest = segments;
        let mut captures = Some(Captures::new());
        let mut parts = pattern.split('/').peekable();
        while let Some(part) = parts.next() {
            let part = Part::parse(part).ok_or_else(wrong)?;
            let is_last = parts.peek().is_none();
            let (name, taken) = match (part, rest.split_first()) {
                (Part::Rest(_), _) if !is_last => return Err(wrong()),
                // The pattern is read to its end, so that a wrong one shows whatever the path is.
                (_, None) => {
                    captures = None;
                    continue;
                }
                (Part::Fixed(text), Some((first, others))) => {
                    captures = captures.filter(|_| first == text);
                    rest = others;
                    continue;
                }
                (Part::One(name), Some((first, others))) => {
                    rest = others;
                    (name, first.clone().into_owned())
                }
                (Part::Rest(name), Some(_)) => (name, std::mem::take(&mut rest).join("/")),
            };
            captures = captures.filter(|_| !taken.is_empty());
            if let Some(captures) = &mut captures {
                captures.push((name, taken));
            }
        }
        Ok(captures.filter(|_| rest.is_empty()))
    }
}

fn not_allowed(methods: &[Method]) -> Error {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    let allow = names.join(", ");
    let message = ["only ", &allow, " is allowed here"].concat();
    let error = Error::new(http::StatusCode::METHOD_NOT_ALLOWED, message);
    match HeaderValue::try_from(allow) {
        Ok(allow) => error.with_header(http::header::ALLOW, allow),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, block_on};

    async fn all(request: Request) -> Result<Response, Error> {
        let name = |name| request.capture::<String>(name).unwrap_or_default();
        Ok(crate::text(format!("{}|{}", name("a"), name("rest"))))
    }

    async fn routes(request: Request) -> Result<Response, Error> {
        Router::new()
            .get("/", all)
            .get("/x/fixed", async |_| Ok::<_, Error>(crate::text("fixed")))
            .get("/x/{a}", all)
            .put("/x/{a}", all)
            .get("/x/{a}/y/{*rest}", all)
            .delete("/end/", all)
            .serve(request)
            .await
    }

    fn call(method: Method, path: &str) -> (u16, String, Option<String>) {
        let request = Request::builder(method, format!("https://h.example{path}")).build();
        block_on(async {
            let response = World::new().call(routes, request.expect("a request")).await;
            let allow = response.headers().get("allow");
            let allow = allow.and_then(|allow| Some(allow.to_str().ok()?.to_owned()));
            let status = response.status().as_u16();
            let text = response.into_body().text().await;
            (status, text.unwrap_or_default(), allow)
        })
    }

    #[test]
    fn the_first_route_that_fits_takes_it() {
        for (path, text) in [
            ("/", "|"),
            ("/?q=/x/1", "|"),
            ("/x/fixed", "fixed"),
            ("/x/fixe%64", "fixed"),
            ("/x/fixed%20", "fixed |"),
            ("/x/a%2Fb", "a/b|"),
            ("/x/%C3%A4", "\u{e4}|"),
            ("/x/1/y/2", "1|2"),
            ("/x/1/y/2/3%2F4/", "1|2/3/4/"),
        ] {
            let called = call(Method::GET, path);
            assert_eq!(called, (200, text.to_owned(), None), "{path}");
        }
        assert_eq!(call(Method::HEAD, "/x/1").0, 200);
    }

    #[test]
    fn what_no_route_fits_is_404_or_405_with_the_methods_that_would() {
        for path in [
            "/y", "/x", "/x/", "/x//", "/x/1/y", "/x/1/y/", "/x/1/z", "//", "/end", "/X/1",
        ] {
            assert_eq!(call(Method::GET, path).0, 404, "{path}");
        }
        assert_eq!(call(Method::POST, "/y").0, 404);
        let (status, text, allow) = call(Method::POST, "/x/fixed");
        assert_eq!((status, allow.as_deref()), (405, Some("GET, HEAD, PUT")));
        assert_eq!(text, "only GET, HEAD, PUT is allowed here");
        assert_eq!(call(Method::GET, "/end/").2.as_deref(), Some("DELETE"));
        for path in ["/x/%2", "/x/%zz", "/x/%ff"] {
            assert_eq!(call(Method::GET, path).0, 400, "{path}");
        }
    }

    #[test]
    fn a_capture_that_is_none_says_so() {
        async fn typed(request: Request) -> Result<Response, Error> {
            let id: u8 = request.capture("id")?;
            request.capture::<u8>("other")?;
            Ok(crate::text(id.to_string()))
        }
        let call = |path: &str| {
            let request = Request::get(format!("https://h.example{path}")).build();
            let handler = async |request| Router::new().get("/{id}", typed).serve(request).await;
            let world = World::new();
            let response = block_on(world.call(handler, request.expect("a request")));
            let status = response.status().as_u16();
            let text = block_on(response.into_body().text());
            (status, text.unwrap_or_default(), world.logs().join("\n"))
        };
        let (status, text, _) = call("/300");
        let says = "id in the path: number too large to fit in target type: \"300\"";
        assert_eq!((status, text.as_str()), (400, says));
        let (status, _, logs) = call("/30");
        assert!(
            status == 500 && logs.contains("the route of /30 has no `{other}`"),
            "{logs}"
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_named_in_the_log() {
        for pattern in [
            "x", "/{}", "/{*}", "/{a", "/a}", "/{*a}/b", "/{{a}}", "/x{a}", "/a/b/{}",
        ] {
            let world = World::new();
            let handler = async |request| Router::new().get(pattern, all).serve(request).await;
            let response = block_on(world.call(handler, Request::new(())));
            assert_eq!(response.status(), 500, "{pattern}");
            assert!(world.logs().join("").contains(pattern), "{pattern}");
        }
    }
}
