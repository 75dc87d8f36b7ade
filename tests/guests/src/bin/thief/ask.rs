//! Looks where a secret may lie.
use crate::Place;
use webtask::{params, secrets};
use webtask_test_guests::Call;

pub(crate) async fn ask_by_name(place: &Place) -> Vec<u8> {
    let got = format!("{:?}", secrets::get("key")).into_bytes();
    let kept = Call::get(&place.other, "/keep").post(&got).send().await;
    [got, kept].concat()
}

pub(crate) async fn ask_in_other_words(_: &Place) -> Vec<u8> {
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

pub(crate) async fn ask_for_names(_: &Place) -> Vec<u8> {
    format!("{:?}", secrets::names()).into_bytes()
}

pub(crate) async fn read_environment(_: &Place) -> Vec<u8> {
    format!("{:?}", std::env::vars_os().collect::<Vec<_>>()).into_bytes()
}

pub(crate) async fn read_arguments(_: &Place) -> Vec<u8> {
    format!("{:?}", std::env::args_os().collect::<Vec<_>>()).into_bytes()
}

pub(crate) async fn read_parameters(_: &Place) -> Vec<u8> {
    let asked = ["key", "secrets", "authorization"].map(params::get);
    format!("{:?} {asked:?}", params::all()).into_bytes()
}

pub(crate) async fn read_files(_: &Place) -> Vec<u8> {
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
pub(crate) async fn read_own_memory(place: &Place) -> Vec<u8> {
    let mut got = place.echo("in=body").await;
    for _ in 0..4 {
        let fresh: Vec<u8> = vec![0; 1 << 20];
        got.extend(fresh.iter().filter(|byte| **byte != 0));
    }
    got
}

pub(crate) async fn read_own_request(place: &Place) -> Vec<u8> {
    place.request.clone()
}
