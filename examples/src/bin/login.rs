//! Signs people in: checks a password and answers with the application's token, narrowed to that user and ten minutes.
//!
//! Shows tokens that are narrowed without any key, parameters that the application can trust, and passwords that are
//! checked in one time whether the user exists or not.
//!
//! The application is a webtask of its own. It reads `params::get("user")` and believes it: the caller can neither
//! change nor drop it. This one holds the application's token as a secret, and verifiers of passwords, not passwords:
//! the secret `users` is JSON, name to HMAC-SHA256 of the password under the secret `pepper`, which is text of at least 32
//! characters, in hexadecimal digits. That is fit for long, generated passwords. For those that people choose, an HMAC is
//! too quick to guess against should both secrets leak: ask an identity provider with `webtask::post_json` instead,
//! and keep the rest as it is.
//!
//! Tokens: first the application's, `APP_TOKEN=$(webtask token create --keys keys.toml
//! --url https://example.com/app.wasm --sha256 … --expires 30d)`, then that of this webtask,
//! `TOKEN=$(webtask token create --keys keys.toml --url https://example.com/login.wasm --sha256 …
//! --secret-env app-token=APP_TOKEN --secret-env pepper=PEPPER --secret-env users=USERS --limit rate=60)`, which may stand in
//! a public page: it does nothing but this, and `rate` bounds the guessing. `PEPPER=$(openssl rand -hex 32)`, and
//! `USERS="{\"ada\":\"$(printf %s "$PASSWORD" | openssl dgst -sha256 -hmac "$PEPPER" -r | cut -c1-64)\"}"`.
//! Call: `curl -H "Authorization: Bearer $TOKEN" -d '{"user":"ada","password":"…"}' http://localhost:8080/run`, and with the
//! `token` of the answer `curl -H "Authorization: Bearer $NARROWED" http://localhost:8080/run/orders`

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webtask::http::{HeaderValue, Method, header};
use webtask::{Error, Request, Response, secrets, token};
use webtask_examples::unhex;

const LIFE: Duration = Duration::from_secs(600);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
}

/// The token is for the user; `expires` is in Unix seconds.
#[derive(serde::Serialize)]
struct Session {
    token: String,
    expires: u64,
}

#[webtask::main(secrets("app-token", "pepper", "users"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let body = request.into_body().bytes_up_to(4096).await?;
    let login: Login = webtask::Body::from(body).json().await?;
    if !(1..=64).contains(&login.user.len()) || login.user.chars().any(char::is_control) {
        return Err(Error::bad_request("user: 1 to 64 bytes of plain text"));
    }
    if !is_known(&login)? {
        // One answer for both, so that nobody learns who has an account.
        return Err(Error::unauthorized("the user or the password is wrong"));
    }

    let expires = token::expires_in(LIFE);
    let caveat = token::Caveat {
        exp: Some(expires),
        methods: Some(vec!["GET".to_owned()]),
        params: [("user".to_owned(), login.user)].into(),
        ..token::Caveat::default()
    };
    let token = token::attenuate(&secrets::get("app-token")?, &caveat)?;
    let mut response = webtask::json(&Session { token, expires })?;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .append(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// True if the password is that of the user. An unknown user is compared as well, with what nothing equals.
fn is_known(login: &Login) -> Result<bool, Error> {
    let users: BTreeMap<String, String> = serde_json::from_str(&secrets::get("users")?)
        // Its own text would quote the secret.
        .map_err(|_| Error::internal("the secret `users` is not JSON of names and verifiers"))?;
    let pepper = secrets::get("pepper")?;
    if pepper.len() < 32 {
        return Err(Error::internal(
            "the secret `pepper` has less than 32 characters",
        ));
    }
    let (exists, verifier) = match users.get(&login.user) {
        Some(digits) => {
            let verifier = unhex(digits)
                .ok_or_else(|| Error::internal("a verifier is not 64 hexadecimal digits"))?;
            (true, verifier)
        }
        None => (false, [0; 32]),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper.as_bytes())?;
    mac.update(login.password.as_bytes());
    // Takes the same time wherever the first difference is.
    Ok(mac.verify_slice(&verifier).is_ok() & exists)
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::Request;
    use webtask::testing::World;

    #[webtask::test]
    async fn what_the_author_got_wrong_is_in_the_log_and_not_in_the_answer() {
        let world = World::new().secret("app-token", "wt1");
        for (pepper, users, says) in [
            ("short", "{}", "less than 32 characters"),
            (&"p".repeat(32), "[]", "not JSON of names and verifiers"),
            (
                &"p".repeat(32),
                r#"{"ada":"00"}"#,
                "not 64 hexadecimal digits",
            ),
        ] {
            let world = world
                .clone()
                .secret("pepper", pepper)
                .secret("users", users);
            let login =
                Request::post("https://run.example/").body(r#"{"user":"ada","password":"x"}"#);
            let response = world.call(main, login.build().expect("a request")).await;
            assert_eq!(response.status(), 500);
            assert!(response.body().is_empty());
            assert!(world.logs().join("\n").contains(says), "{says}");
        }
    }
}
