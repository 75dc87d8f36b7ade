//! Each example as its own documentation says: the token that its command line makes, called as its `Call` line calls,
//! through a serving process, with a stand-in for the service it needs. Both generations of WASI.

mod documented;
mod services;

use documented::{Place, find};
use webtask_tests::{Origin, p2, p3};

/// The two components of an example.
macro_rules! both {
    ($name:ident) => {
        [p2::examples::$name, p3::examples::$name]
    };
}

#[test]
fn hello_needs_nothing() {
    for wasm in both!(HELLO) {
        let place = Place::of("hello", wasm, &[]);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!((status, text.as_str()), (200, "Hello, world!\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charge_pays_once_and_reveals_nothing() {
    for wasm in both!(CHARGE) {
        let stripe = Origin::start(services::stripe).await;
        let mut place = Place::of(
            "charge",
            wasm,
            &[("https://api.stripe.com", &stripe.url(""))],
        );
        place.set("STRIPE_KEY", services::STRIPE_KEY);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 200, "{text} {}", place.log());
        let charge = r#"{"id":"ch_1","amount":1999,"status":"succeeded"}"#;
        assert_eq!(text, charge);
        assert_eq!(stripe.seen()[0].headers["idempotency-key"], "order-7");
        let declined = [("tok_visa", "tok_chargeDeclined")];
        let (status, text) = place.call(&token, &declined);
        assert_eq!((status, text.as_str()), (402, "the card was declined"));
        for (from, to, says) in [
            (
                "\"amount\":1999,",
                "",
                "missing field `amount` at line 1 column 36",
            ),
            (
                "1999",
                "\"many\"",
                "amount: invalid type: string \"many\", expected u64 at line 1 column 16",
            ),
        ] {
            let answer = place.call(&token, &[(from, to)]);
            let says = format!("the body is not the JSON expected: {says}");
            assert_eq!(answer, (400, says));
        }
        assert_eq!(
            stripe.seen().len(),
            2,
            "what is not valid never reaches Stripe"
        );
        place.set("STRIPE_KEY", "sk_wrong");
        let (status, text) = place.call(&place.token(), &[]);
        assert_eq!(
            (status, text.as_str()),
            (502, "the payment provider failed")
        );
        let log = place.logged("it answered 401");
        for key in [services::STRIPE_KEY, "sk_wrong"] {
            assert!(!log.contains(key), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sms_sends_as_the_account_and_says_whose_fault_it_is() {
    for wasm in both!(SMS) {
        let twilio = Origin::start(services::twilio).await;
        let mut place = Place::of("sms", wasm, &[("https://api.twilio.com", &twilio.url(""))]);
        place.set("TWILIO_AUTH_TOKEN", services::TWILIO_AUTH_TOKEN);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 202, "{text} {}", place.log());
        let sent = r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued"}"#;
        assert_eq!(text, sent);
        for (to, status, says) in [
            (
                "+15005550001",
                400,
                "to: not a number that takes text messages",
            ),
            ("+15005550004", 400, "to: has asked for no more messages"),
            ("+15005550009", 502, "Twilio refused the message"),
            ("+15005550429", 503, "too many messages at once"),
            (
                "1",
                400,
                "to: a number as in E.164, + and 7 to 15 digits, such as +15558675310",
            ),
        ] {
            let answer = place.call(&token, &[("+15558675310", to)]);
            assert_eq!(answer, (status, says.to_owned()), "{to}");
        }
        place.set("TWILIO_AUTH_TOKEN", "wrong");
        let (status, text) = place.call(&place.token(), &[]);
        assert_eq!((status, text.as_str()), (502, "Twilio refused the message"));
        let log = place.logged("20003: Authenticate");
        assert!(!log.contains(services::TWILIO_AUTH_TOKEN), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_goes_to_whom_the_token_says() {
    for wasm in both!(EMAIL) {
        let postmark = Origin::start(services::postmark).await;
        let origins = [("https://api.postmarkapp.com", &*postmark.url(""))];
        let mut place = Place::of("email", wasm, &origins);
        place.set("POSTMARK_TOKEN", services::POSTMARK_TOKEN);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 202, "{text} {}", place.log());
        let mail: serde_json::Value =
            serde_json::from_slice(&postmark.seen()[0].body).expect("JSON");
        assert_eq!(mail["To"], "you@example.com");
        assert_eq!(mail["ReplyTo"], "ada@example.com");
        assert_eq!(mail["TextBody"], "When will it be ready?");
        for (from, to, status, says) in [
            (
                "ada@example.com",
                "invalid@example.com",
                400,
                "reply: not an address that mail can be sent to",
            ),
            (
                "ada@example.com",
                "a@b.c,d@e.f",
                400,
                "reply: one address, such as ada@example.com",
            ),
            (
                "subject=Engines",
                "subject=",
                400,
                "subject: one line of 1 to 200 characters",
            ),
            (
                "subject=",
                "to=me@example.com --data-urlencode subject=",
                400,
                "the form is not the one expected: to: unknown field `to`, expected one of `reply`, `subject`, `text`",
            ),
        ] {
            let answer = place.call(&token, &[(from, to)]);
            assert_eq!(answer, (status, says.to_owned()), "{to}");
        }
        place.set("POSTMARK_TOKEN", "wrong");
        let (status, _) = place.call(&place.token(), &[]);
        assert_eq!(status, 502);
        let log = place.logged("10: ");
        assert!(!log.contains(services::POSTMARK_TOKEN), "{log}");
    }
}

#[test]
fn webhook_takes_what_is_signed_and_nothing_else() {
    for wasm in both!(WEBHOOK) {
        let mut place = Place::of("webhook", wasm, &[]);
        place.file("secret.txt", "It's a Secret to Everybody");
        place.set("SECRET", "It's a Secret to Everybody");
        place.set(
            "BODY",
            r#"{"action":"opened","repository":{"full_name":"octo/cat"}}"#,
        );
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 202, "{text} {}", place.log());
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["did"], "would greet who opened it");
        assert_eq!(answer["delivery"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        place.logged("issues, action opened, of octo/cat");
        let (status, text) = place.call(&token, &[("-d \"$BODY\"", "-d \"$BODY \"")]);
        assert_eq!(
            (status, text.as_str()),
            (401, "the signature does not match")
        );
        let (status, _) = place.call(&token, &[("X-Hub-Signature-256", "X-Hub-Signature")]);
        assert_eq!(status, 401);
        let (status, text) = place.call(&token, &[("X-GitHub-Event", "X-Other")]);
        assert_eq!((status, text.as_str()), (400, "no x-github-event"));
    }
}

#[test]
fn slack_is_answered_in_its_window() {
    for wasm in both!(SLACK) {
        let mut place = Place::of("slack", wasm, &[]);
        place.set("SLACK_SIGNING_SECRET", "8f742231b10e8888abcd99yyyzzz85a5");
        place.set("BODY", "token=x&command=%2Fdeploy&text=%3C%21channel%3E&user_name=ada&response_url=https%3A%2F%2Fhooks.slack.com%2F");
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 200, "{text} {}", place.log());
        let answer = r#"{"response_type":"in_channel","text":"ada deploys &lt;!channel&gt;"}"#;
        assert_eq!(text, answer);
        // Minutes, not seconds: a busy machine takes a while between the clock and the webtask.
        for (now, taken) in [("-240", 200), ("-301", 401), ("+240", 200), ("+420", 401)] {
            let shifted = format!("$(($(date +%s){now}))");
            let (status, text) = place.call(&token, &[("$(date +%s)", &shifted)]);
            assert_eq!(status, taken, "{now}: {text}");
        }
        let (status, text) = place.call(&token, &[("-d \"$BODY\"", "-d \"$BODY&text=x\"")]);
        assert_eq!(
            (status, text.as_str()),
            (401, "the request is not signed by Slack")
        );
    }
}

#[test]
fn login_hands_out_the_applications_token_as_one_user() {
    for (wasm, app) in [
        (p2::examples::LOGIN, p2::guests::REFLECT),
        (p3::examples::LOGIN, p3::guests::REFLECT),
    ] {
        let mut place = Place::of("login", wasm, &[("https://example.com/app.wasm", app)]);
        let password = "correct horse battery staple";
        place.set("PASSWORD", password);
        for name in ["PEPPER", "USERS", "APP_TOKEN", "TOKEN"] {
            place.assign(name);
        }
        let body = ("\"…\"", &*format!("\"{password}\""));
        let (status, text) = place.shell(find(&place.doc, "\"password\""), &[body]);
        assert_eq!(status, 200, "{text} {}", place.log());
        let session: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let narrowed = session["token"].as_str().expect("a token").to_owned();
        place.set("NARROWED", &narrowed);
        let orders = find(&place.doc, "$NARROWED").to_owned();
        let (status, text) = place.shell(&orders, &[]);
        assert!(status == 200 && text.contains("\"user\":\"ada\""), "{text}");
        let (status, text) = place.shell(&orders, &[("curl", "curl -X POST")]);
        assert!(status == 403 && text.contains("method-denied"), "{text}");
        let bob = [("\"ada\"", "\"bob\""), body];
        for wrong in [&[("\"…\"", "\"wrong\"")][..], &bob] {
            let answer = place.shell(find(&place.doc, "\"password\""), wrong);
            let says = "the user or the password is wrong".to_owned();
            assert_eq!(answer, (401, says));
        }
        let log = place.logged("webtask::access");
        assert!(!log.contains(&narrowed) && !log.contains(password));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presign_signs_what_a_store_takes_and_no_other_file() {
    for wasm in both!(PRESIGN) {
        let store = Origin::start(services::s3).await;
        let origins = [("https://examplebucket.s3.amazonaws.com", &*store.url(""))];
        let mut place = Place::of("presign", wasm, &origins);
        place.set("AWS_SECRET_ACCESS_KEY", services::S3_KEY);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        assert_eq!(status, 200, "{text} {}", place.log());
        let signed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(signed["key"], "uploads/photo 1.jpg");
        let url = signed["url"].as_str().expect("a URL");
        assert!(
            url.starts_with(&store.url("/uploads/photo%201.jpg?")),
            "{url}"
        );
        place.set("URL", url);
        let put = find(&place.doc, "$URL").to_owned();
        assert_eq!(place.shell(&put, &[]).0, 200);
        assert_eq!(&store.seen()[0].body[..], b"hello");
        for change in [
            ("image/jpeg", "text/html"),
            ("printf hello ", "printf hello! "),
            ("$URL", "${URL/photo/other}"),
            ("$URL", "${URL/Expires=600/Expires=6000}"),
        ] {
            let (status, text) = place.shell(&put, &[change]);
            let refused = status == 403 && text.contains("SignatureDoesNotMatch");
            assert!(refused, "{change:?}: {text}");
        }
        let (status, text) = place.call(&token, &[("photo 1.jpg", "../x")]);
        assert!(status == 400 && text.starts_with("name: "), "{text}");
        assert!(!place.log().contains(services::S3_KEY));
    }
}

#[test]
fn events_count_down() {
    for wasm in both!(EVENTS) {
        let place = Place::of("events", wasm, &[]);
        let token = place.token();
        let (status, text) = place.call(&token, &[]);
        let events = "data: 3\nid: 3\n\ndata: 2\nid: 2\n\ndata: 1\nid: 1\n\ndata: launch\nevent: done\nid: 0\n\n";
        assert_eq!((status, text.as_str()), (200, events));
        let (status, text) = place.call(&token, &[("from=3", "from=three")]);
        let says = "the query is not the one expected: from: invalid digit found in string";
        assert_eq!((status, text.as_str()), (400, says));
        let (status, text) = place.call(&token, &[("curl -N", "curl -X DELETE")]);
        assert_eq!(
            (status, text.as_str()),
            (405, "only GET, HEAD is allowed here")
        );
        assert_eq!(place.call(&token, &[("countdown/", "")]).0, 404);
    }
}

/// What an author forgot is in the author's log, with the name; the caller learns that it is not the caller's fault to mend.
#[test]
fn a_token_without_the_secret_is_named_in_the_log() {
    for wasm in both!(WEBHOOK) {
        let mut place = Place::of("webhook", wasm, &[]);
        place.set("SECRET", "x");
        place.set("BODY", "{}");
        let without = [("--secret-file webhook-secret=secret.txt", "")];
        let token = place.token_with(&without);
        let (status, text) = place.call(&token, &[]);
        assert!(status == 403 && text.contains("secret-missing"), "{text}");
        assert!(place.log().contains("webhook-secret"), "{}", place.log());
    }
}

/// Every example is here.
#[test]
fn no_example_is_left_out() {
    let examples = std::fs::read_dir(documented::sources()).expect("the examples");
    let here = include_str!("mod.rs");
    for example in examples {
        let name = example.expect("an entry").file_name();
        let name = name.to_string_lossy().replace(".rs", "").to_uppercase();
        assert!(
            here.contains(&format!("both!({name})")) || here.contains(&format!("examples::{name}")),
            "{name}"
        );
    }
}
