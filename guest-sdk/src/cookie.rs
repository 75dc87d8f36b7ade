//! Cookies (RFC 6265bis): those that came, and one to set, with defaults that keep it where it belongs.
use crate::SendError;
use http::HeaderValue;
use std::borrow::Cow;
use std::time::Duration;

/// The value of the first cookie `name` in the header `cookie`.
pub(crate) fn find<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(other, _)| other.trim() == name)?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Some(unquoted.unwrap_or(value))
}

/// Which requests from other sites carry a cookie.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SameSite {
    /// Those by which the user comes here, as by a link: not what a page of another site sends by itself.
    #[default]
    Lax,
    /// All, also those of pages that nobody here knows.
    None,
    /// None.
    Strict,
}

/// A cookie to set: not readable by scripts, sent over `https` only, of this very host, with `SameSite=Lax`, until the
/// browser is closed. What shall be otherwise is said by name.
///
/// ```
/// # use std::time::Duration;
/// # use webtask::{Response, SetCookie, header};
/// # fn run(session: &str) -> Result<(), webtask::Error> {
/// let cookie = SetCookie::new("__Host-session", session).max_age(Duration::from_secs(3600));
/// let mut response = webtask::text("welcome\n");
/// response.headers_mut().append(header::SET_COOKIE, cookie.header()?);
/// # assert_eq!(
/// #     response.headers()["set-cookie"],
/// #     "__Host-session=s; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
/// # );
/// # Ok(()) }
/// # run("s").unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a cookie is set by its header"]
pub struct SetCookie {
    name: Cow<'static, str>,
    value: String,
    path: Cow<'static, str>,
    domain: Option<Cow<'static, str>>,
    max_age: Option<Duration>,
    same_site: SameSite,
    http_only: bool,
    secure: bool,
}

impl SetCookie {
    /// The cookie `name`. Begun with `__Host-`, no other host and no other path can set or get it.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            same_site: SameSite::Lax,
            http_only: true,
            secure: true,
        }
    }

    /// Takes the cookie `name` away. Path and domain must be those it was set with.
    pub fn remove(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// Keeps it so long, in whole seconds, also when the browser is closed.
    pub fn max_age(mut self, life: Duration) -> Self {
        self.max_age = Some(life);
        self
    }

    /// Only for requests below `path`. No protection: pages of other paths reach it all the same.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        self
    }

    /// Also for all hosts below `domain`.
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Which requests from other sites carry it.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Lets scripts read it, and so whoever gets a script into a page.
    pub fn readable_by_scripts(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// Sends it over `http` as well, for everybody on the way to read. Browsers take `localhost` for secure anyway.
    pub fn over_http(mut self) -> Self {
        self.secure = false;
        self
    }

    /// The value of the header `set-cookie`.
    ///
    /// # Errors
    /// If the name is no token, if value, path or domain hold what a cookie must not (control characters, spaces,
    /// quotes, commas, semicolons, backslashes, anything beyond ASCII: encode it), or if a browser would refuse it: a name
    /// with `__Host-` or `__Secure-` and what that forbids, `SameSite=None` without `Secure`.
    pub fn header(&self) -> Result<HeaderValue, SendError> {
        self.check().map_err(SendError::invalid)?;
        let mut text = [&*self.name, "=", &self.value, "; Path=", &self.path].concat();
        if let Some(domain) = &self.domain {
            text += "; Domain=";
            text += domain;
        }
        if let Some(life) = self.max_age {
            text += "; Max-Age=";
            text += &life.as_secs().to_string();
        }
        if self.http_only {
            text += "; HttpOnly";
        }
        if self.secure {
            text += "; Secure";
        }
        text += match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
            SameSite::Strict => "; SameSite=Strict",
        };
        HeaderValue::try_from(text).map_err(|_| SendError::invalid("a cookie that is no header"))
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Err("the name of a cookie is letters, digits and !#$%&'*+-.^_`|~");
        }
        let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        if !self.value.bytes().all(is_octet) {
            return Err(
                "the value of a cookie has no spaces, quotes, commas, semicolons and backslashes",
            );
        }
        let of_attribute = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b';')
        };
        if !self.path.starts_with('/') || !of_attribute(&self.path) {
            return Err("the path of a cookie begins with / and has no spaces and semicolons");
        }
        if self
            .domain
            .as_deref()
            .is_some_and(|domain| domain.is_empty() || !of_attribute(domain))
        {
            return Err("the domain of a cookie has no spaces and semicolons");
        }
        // Browsers compare without regard to case.
        let begins = |prefix: &str| {
            let begin = self.name.get(..prefix.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        if begins("__Host-") && (!self.secure || self.domain.is_some() || self.path != "/") {
            return Err("a cookie with __Host- is secure, of the path / and of no domain");
        }
        if begins("__Secure-") && !self.secure {
            return Err("a cookie with __Secure- is secure");
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err("a cookie for other sites, SameSite=None, is secure");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let header = "ab=1; a = 2 ;a=3; q=\"4\"; b=; c==";
        for (name, value) in [
            ("a", Some("2")),
            ("ab", Some("1")),
            ("q", Some("4")),
            ("b", Some("")),
            ("c", Some("=")),
            ("d", None),
            ("A", None),
        ] {
            assert_eq!(find(header, name), value, "{name}");
        }
    }

    #[test]
    fn a_cookie_is_kept_close_unless_it_is_said_otherwise() {
        let text = |cookie: SetCookie| {
            cookie
                .header()
                .map(|value| value.to_str().map(str::to_owned).unwrap_or_default())
        };
        assert_eq!(
            text(SetCookie::new("a", "b")).ok().as_deref(),
            Some("a=b; Path=/; HttpOnly; Secure; SameSite=Lax")
        );
        let open = SetCookie::new("a", "b")
            .path("/x")
            .domain("a.example")
            .readable_by_scripts()
            .over_http()
            .same_site(SameSite::Strict);
        assert_eq!(
            text(open).ok().as_deref(),
            Some("a=b; Path=/x; Domain=a.example; SameSite=Strict")
        );
        assert_eq!(
            text(SetCookie::remove("a")).ok().as_deref(),
            Some("a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
        );
    }

    #[test]
    fn nothing_gets_into_a_cookie_that_would_end_it_or_that_browsers_refuse() {
        for wrong in [
            SetCookie::new("", "b"),
            SetCookie::new("a=", "b"),
            SetCookie::new("a", "b; Domain=evil.example"),
            SetCookie::new("a", "b\r\nx: y"),
            SetCookie::new("a", "\u{e4}"),
            SetCookie::new("a", "b").path("/; Secure"),
            SetCookie::new("a", "b").path("x"),
            SetCookie::new("a", "b").domain("a b"),
            SetCookie::new("__Host-a", "b").path("/x"),
            SetCookie::new("__HOST-a", "b").domain("a.example"),
            SetCookie::new("__Secure-a", "b").over_http(),
            SetCookie::new("a", "b")
                .same_site(SameSite::None)
                .over_http(),
        ] {
            assert!(wrong.header().is_err(), "{wrong:?}");
        }
    }
}
