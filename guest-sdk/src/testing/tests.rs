use super::*;
use crate::{ErrorKind, StatusCode, invocation, params, secrets};

#[test]
#[should_panic(expected = "waits for nothing")]
fn a_test_that_waits_for_nothing_fails_and_does_not_hang() {
    block_on(std::future::pending::<()>());
}

#[test]
fn a_world_holds_what_it_was_given_and_outside_of_it_is_nothing() {
    let world = World::new()
        .secret("word", "xyzzy")
        .bound("key")
        .param("user", "42")
        .tenant("acme");
    let outside = block_on(async {
        world
            .run(async {
                assert_eq!(secrets::get("word").ok().as_deref(), Some("xyzzy"));
                let refused = |name| secrets::get(name).map_err(|error| error.reason());
                assert_eq!(refused("key"), Err(secrets::Reason::Bound));
                assert_eq!(refused("other"), Err(secrets::Reason::NotGranted));
                assert_eq!(secrets::names(), ["key", "word"]);
                assert_eq!(params::get("user").as_deref(), Some("42"));
                assert_eq!(invocation::tenant(), "acme");
                // Also in what it spawns.
                let spawned = crate::spawn(async { params::get("user") });
                assert_eq!(spawned.await.as_deref(), Some("42"));
            })
            .await;
        params::get("user")
    });
    assert_eq!(outside, None);
    assert!(!format!("{world:?}").contains("xyzzy"));
}

#[test]
fn an_error_is_answered_and_logged_as_by_a_host() {
    let world = World::new();
    let handler = async |_| -> Result<Response, Error> {
        secrets::get("word")?;
        Ok(crate::text(""))
    };
    let response = block_on(world.call(handler, Request::new(())));
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.body().is_empty());
    assert_eq!(
        world.logs(),
        [
            "ERROR webtask: 500: the token holds no secret `word`: make one with --secret-env, --secret-file or --secret"
        ]
    );
}

#[test]
fn time_passes_only_when_everything_waits() {
    let world = World::new().wall(Duration::from_secs(7200));
    let began = std::time::Instant::now();
    block_on(world.run(async {
        let slow = crate::spawn(crate::sleep(Duration::from_secs(3600)));
        crate::sleep(Duration::from_secs(1800)).await;
        assert_eq!(invocation::remaining(), Duration::from_secs(5400));
        slow.await;
        assert_eq!(invocation::remaining(), Duration::from_secs(3600));
    }));
    assert!(began.elapsed() < Duration::from_secs(600));
}

/// The world is there as long as the body is read.
#[test]
fn a_streamed_answer_is_made_in_its_world() {
    let handler = async |_| {
        Ok::<_, Error>(Response::new(Body::stream(async |writer| {
            writer.write(secrets::get("word")?).await;
            Ok(())
        })))
    };
    let text = block_on(async {
        let world = World::new().secret("word", "xyzzy");
        let response = world.call(handler, Request::new(())).await;
        response.into_body().text().await
    });
    assert_eq!(text.ok().as_deref(), Some("xyzzy"));
}

#[test]
fn an_origin_answers_fails_and_keeps_waiting() {
    let world = World::new().origin(async |request| match request.path() {
        "/down" => Err(ErrorKind::Connect.into()),
        "/hangs" => std::future::pending().await,
        "/drips" => Ok(Response::new(Body::stream(async |writer| {
            writer.write("drop").await;
            crate::sleep(Duration::from_secs(60)).await;
            Ok(())
        }))),
        _ => Ok(crate::text(
            request.into_body().text().await.unwrap_or_default(),
        )),
    });
    let second = Duration::from_secs(1);
    block_on(world.run(async {
        let url = |path: &str| format!("https://a.example{path}");
        let echo = Request::post(url("/"))
            .body("hi")
            .send()
            .await
            .expect("an answer");
        assert_eq!(echo.into_body().text().await.ok().as_deref(), Some("hi"));
        let down = crate::get(&url("/down")).await.map(drop);
        assert_eq!(down.map_err(|error| error.kind()), Err(ErrorKind::Connect));
        for hangs in [
            Request::get(url("/hangs")).timeout(second),
            Request::get(url("/hangs")).first_byte_timeout(second),
        ] {
            let timeout = hangs.send().await.map(drop);
            assert_eq!(
                timeout.map_err(|error| error.kind()),
                Err(ErrorKind::Timeout)
            );
        }
        // The limit of the whole call goes on in the body, and the fault is the origin's.
        let mut drips = Request::get(url("/drips"))
            .timeout(second)
            .send()
            .await
            .expect("a head")
            .into_body();
        let first = drips.chunk().await.expect("a piece");
        assert_eq!(first.as_deref(), Some(&b"drop"[..]));
        let late = drips.chunk().await.map(drop).expect_err("it is late");
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        let wrong = crate::get(&url("/")).await.expect("an answer").into_body();
        let wrong = wrong
            .json::<u8>()
            .await
            .expect_err("an empty text is no JSON");
        assert_eq!(wrong.status(), StatusCode::BAD_GATEWAY);
    }));
    let paths: Vec<_> = world
        .sent()
        .iter()
        .map(|sent| sent.uri.path().to_owned())
        .collect();
    assert_eq!(paths, ["/", "/down", "/hangs", "/hangs", "/drips", "/"]);
    let refused =
        block_on(World::new().run(async { crate::get("https://a.example/").await.map(drop) }));
    assert_eq!(
        refused.map_err(|error| error.kind()),
        Err(ErrorKind::Denied)
    );
}
