//! Makes a set of headers of `?n=` fields with values of `&size=` bytes, and says how many of them the host took; with
//! `&way=method` and `&way=authority` it makes as many requests, each with one of that size, and keeps them all.
use webtask::{Error, Request, Response};
use webtask_test_guests::{Fields, Method, number, outgoing, query};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (n, size) = (number(&request, "n", 1), number(&request, "size", 1));
    let asked = request.uri().path_and_query();
    let way = asked.and_then(|asked| query(asked.as_str(), "way"));
    let long = "x".repeat(size as usize);
    let (fields, mut kept, mut taken) = (Fields::new(), Vec::new(), 0);
    for field in 0..n {
        let set = match way {
            None => fields.append(&format!("f{field}"), long.as_bytes()).is_ok(),
            Some(way) => {
                let request = outgoing();
                let set = match way {
                    "method" => request.set_method(&Method::Other(long.clone())),
                    _ => request.set_authority(Some(&long)),
                };
                kept.push(request);
                set.is_ok()
            }
        };
        taken += u32::from(set);
    }
    Ok(webtask::text(taken.to_string()))
}
