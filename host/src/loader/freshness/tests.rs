use super::*;

const DAY: u64 = 24 * 3600;

struct Moment {
    times: Times,
}

fn moment() -> Moment {
    let now = Instant::now();
    // Sun, 06 Nov 1994 08:49:37 GMT, of RFC 9110.
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    Moment {
        times: Times {
            asked: now,
            received: now,
            wall,
        },
    }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            *name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        );
    }
    headers
}

/// The seconds for which an answer is fresh, serves while asking and serves if its origin is down.
fn spans(fields: &[(&'static str, &str)]) -> Option<[u64; 3]> {
    let found = Freshness::of(&headers(fields), moment().times)?;
    Some([found.fresh, found.while_asking, found.if_down].map(|span| span.as_secs()))
}

#[test]
fn an_answer_is_fresh_for_as_long_as_it_says() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (fields, fresh) in [
        (&[("cache-control", "max-age=60")][..], 60),
        (&[("cache-control", "Max-Age = 60 , public")], 60),
        (&[("cache-control", "MAX-AGE=\"60\"")], 60),
        (&[("cache-control", "max-age=60, s-maxage=5")], 5),
        (&[("cache-control", "max-age=60"), ("age", "50")], 10),
        (&[("cache-control", "max-age=60"), ("age", "70")], 0),
        // An old answer of a cache on the way that does not say so: section 4.2.3.
        (
            &[
                ("cache-control", "max-age=60"),
                ("date", "Sun, 06 Nov 1994 08:49:07 GMT"),
            ],
            30,
        ),
        (
            &[
                ("cache-control", "max-age=60"),
                ("date", "Sun, 06 Nov 1994 09:49:37 GMT"),
            ],
            60,
        ),
        (&[("cache-control", "max-age=60, max-age=10")], 10),
        (
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "max-age=10"),
            ],
            10,
        ),
        (&[("cache-control", "max-age=x")], 0),
        (&[("cache-control", "max-age=-1")], 0),
        (&[("cache-control", "max-age")], 0),
        (
            &[("cache-control", "max-age=99999999999999999999999")],
            LONGEST,
        ),
        (&[("cache-control", "max-age=60, no-cache")], 0),
        (
            &[("cache-control", "max-age=60, no-cache=\"set-cookie, x\"")],
            0,
        ),
        (&[("cache-control", "x=\"max-age=60, \\\"\", max-age=7")], 7),
        (&[("cache-control", "\u{fc}")], 0),
        (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), date], 60),
        (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], 60),
        (&[("expires", "Sunday, 06-Nov-94 08:50:37 GMT"), date], 60),
        (&[("expires", "Sun Nov  6 08:50:37 1994"), date], 60),
        (
            &[
                ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                ("cache-control", "max-age=5"),
            ],
            5,
        ),
        (&[("expires", "0")], 0),
        (&[("expires", "Sun, 06 Nov 1970 08:50:37 GMT"), date], 0),
        // Guessed: section 4.2.2.
        (&[], UNSAID.as_secs()),
        (
            &[("last-modified", "Sun, 06 Nov 1994 08:44:37 GMT"), date],
            30,
        ),
        (
            &[("last-modified", "Tue, 06 Nov 1984 08:44:37 GMT"), date],
            GUESSED.as_secs(),
        ),
        (
            &[("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT"), date],
            UNSAID.as_secs(),
        ),
        (
            &[("last-modified", "Sun, 06 Nov 2094 08:49:36 GMT"), date],
            UNSAID.as_secs(),
        ),
        (&[("vary", "accept-encoding")], UNSAID.as_secs()),
        (&[("age", "18446744073709551615")], UNSAID.as_secs()),
    ] {
        assert_eq!(
            spans(fields).map(|spans| spans[0]),
            Some(fresh),
            "{fields:?}"
        );
    }
}

#[test]
fn what_must_not_be_kept_is_not() {
    for fields in [
        ("cache-control", "no-store"),
        ("cache-control", "max-age=60, No-Store"),
        ("cache-control", "private, max-age=60"),
        ("cache-control", "private=\"x\""),
        ("vary", "*"),
        ("vary", "accept, *"),
    ] {
        assert_eq!(spans(&[fields]), None, "{fields:?}");
    }
}

#[test]
fn what_is_stale_serves_only_as_far_as_the_origin_lets_it() {
    for (said, expected) in [
        ("max-age=60", [60, 0, DAY]),
        ("max-age=60, stale-while-revalidate=30", [60, 30, DAY]),
        (
            "max-age=60, stale-while-revalidate=30, stale-if-error=5",
            [60, 30, 5],
        ),
        ("max-age=60, stale-if-error=0", [60, 0, 0]),
        ("max-age=60, stale-if-error=9999999", [60, 0, 9_999_999]),
        ("max-age=0", [0, 0, DAY]),
        // Section 4.2.4.
        (
            "max-age=60, must-revalidate, stale-while-revalidate=30",
            [60, 0, 0],
        ),
        ("max-age=60, proxy-revalidate", [60, 0, 0]),
        ("s-maxage=60, stale-if-error=30", [60, 0, 0]),
        ("no-cache, stale-if-error=30", [0, 0, 0]),
    ] {
        assert_eq!(spans(&[("cache-control", said)]), Some(expected), "{said}");
    }
    // The time that passed before it came counts.
    let late = [
        ("cache-control", "max-age=60, stale-while-revalidate=30"),
        ("age", "70"),
    ];
    assert_eq!(spans(&late), Some([0, 20, DAY - 10]));
}

#[test]
fn an_answer_goes_from_fresh_to_over() {
    let start = moment().times;
    let said = headers(&[(
        "cache-control",
        "max-age=10, stale-while-revalidate=20, stale-if-error=40",
    )]);
    let found = Freshness::of(&said, start).expect("it may be kept");
    for (second, expected) in [
        (0, Standing::Fresh),
        (9, Standing::Fresh),
        (10, Standing::Asking),
        (29, Standing::Asking),
        (30, Standing::IfDown),
        (49, Standing::IfDown),
        (50, Standing::Over),
    ] {
        let now = start.received + Duration::from_secs(second);
        assert_eq!(found.standing(now), expected, "{second}");
    }
}

#[test]
fn a_delay_on_the_way_makes_an_answer_older() {
    let mut times = moment().times;
    times.received += Duration::from_secs(4);
    let said = headers(&[("cache-control", "max-age=10")]);
    let found = Freshness::of(&said, times).expect("it may be kept");
    assert_eq!(found.fresh, Duration::from_secs(6));
}

#[test]
fn an_answer_behind_a_redirect_holds_as_long_as_both() {
    let times = moment().times;
    let of = |said: &str| {
        Freshness::of(&headers(&[("cache-control", said)]), times).expect("it may be kept")
    };
    let both = of("max-age=60, stale-while-revalidate=9").behind(of("max-age=5, stale-if-error=7"));
    assert_eq!(both.fresh, Duration::from_secs(5));
    assert_eq!(both.while_asking, Duration::ZERO);
    assert_eq!(both.if_down, Duration::from_secs(7));
}

#[test]
fn a_304_brings_new_times_and_leaves_the_rest() {
    let stored = headers(&[
        ("etag", "\"a\""),
        ("cache-control", "max-age=5"),
        ("expires", "0"),
    ]);
    let new = headers(&[("cache-control", "max-age=60"), ("date", "x")]);
    let merged = kept(&confirmed(&stored, &new)).expect("it is small");
    let expected = headers(&[
        ("cache-control", "max-age=60"),
        ("expires", "0"),
        ("etag", "\"a\""),
    ]);
    assert_eq!(merged, expected);
    let asked = headers(&[("if-none-match", "\"a\"")]);
    assert_eq!(conditions(&merged), asked);
    for (tag, same) in [("\"a\"", true), ("W/\"a\"", true), ("\"b\"", false)] {
        assert_eq!(
            speaks_of(&headers(&[("etag", tag)]), &stored),
            same,
            "{tag}"
        );
    }
    assert!(speaks_of(&HeaderMap::new(), &stored));
    assert!(!speaks_of(&stored, &HeaderMap::new()));
}

#[test]
fn a_head_that_says_too_much_is_not_kept() {
    assert!(kept(&headers(&[("etag", &"a".repeat(3_000))])).is_none());
}

#[test]
fn an_origin_is_left_alone_within_bounds() {
    let wall = moment().times.wall;
    for (said, seconds) in [
        ("0", 2),
        ("10", 10),
        ("3600", 30),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sun, 06 Nov 1904 08:49:47 GMT", 2),
        ("soon", 2),
    ] {
        let found = retry_after(&headers(&[("retry-after", said)]), wall);
        assert_eq!(found.as_secs(), seconds, "{said}");
    }
}
