//! The cache directory before anybody asks.

use super::*;

#[test]
fn warm_fills_the_cache_of_a_runtime_that_starts_later() {
    let place = Place::new();
    let tokens = place.tokens(2);
    let (cache, code) = (place.cache(), place.dir.path().join("code"));
    let files: Vec<_> = (0..2).map(|n| code.join(format!("{n}.wasm"))).collect();
    let bad = code.join("bad.wasm");
    fs::write(&bad, "no component").expect("own directory");
    let warm = |files: &[&Path]| {
        let args = [
            "warm",
            "--json",
            "--cache-dir",
            text(&cache),
            "--allow-code",
            text(&code),
        ];
        let files = files.iter().map(|file| text(file));
        webtask(&args.into_iter().chain(files).collect::<Vec<_>>())
            .output()
            .expect("starts")
    };
    let output = warm(&[&files[0], &bad, &files[1]]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{error}");
    assert!(
        error.contains("bad.wasm") && error.contains("1 of 3"),
        "{error}"
    );
    assert_eq!(said.matches("\"kept\":false").count(), 2, "{said}");
    let digest = Command::new("sha256sum").arg(&files[0]).output();
    let digest = String::from_utf8(digest.expect("coreutils").stdout).expect("text");
    assert!(said.contains(&digest[..64]), "{said}");
    let again = stdout(&warm(&[&files[0], &files[1]]));
    assert_eq!(again.matches("\"kept\":true").count(), 2, "{again}");
    let server = place.start("server");
    tokens.iter().for_each(|token| server.answers(token));
    assert_eq!(counted(&server.stop()), "compiled=0 loaded=2");
    // What does not fit is not said to be there.
    let config = place.dir.path().join("small.toml");
    fs::write(&config, "limits.cache-disk-bytes = '1KiB'").expect("own directory");
    let output = webtask(&[
        "warm",
        "--config",
        text(&config),
        "--cache-dir",
        text(&place.dir.path().join("small")),
        "--allow-code",
        text(&code),
        text(&files[0]),
        text(&files[1]),
    ]);
    let (status, error) = failure(&{ output }.output().expect("starts"));
    assert!(status == 1 && error.contains("not kept"), "{error}");
    // What `serve` would refuse is refused here, and without a directory nothing is done.
    let elsewhere = place.dir.path().join("elsewhere.wasm");
    fs::copy(&files[0], &elsewhere).expect("own directory");
    let (status, error) = failure(&warm(&[&elsewhere]));
    assert!(status == 1 && error.contains("--allow-code"), "{error}");
    let (status, error) = failure(
        &webtask(&["warm", text(&files[0])])
            .output()
            .expect("starts"),
    );
    assert!(status == 2 && error.contains("--cache-dir"), "{error}");
}
