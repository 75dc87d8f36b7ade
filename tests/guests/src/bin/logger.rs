//! Logs a line of every level, one on stdout, one on stderr, and some that would forge others.
use webtask::{Error, Request, Response, log};

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    log::trace!("a trace line");
    log::debug!("a debug line");
    log::info!("an info line");
    log::warn!("a warn line");
    log::error!("an error line");
    println!("a line on stdout");
    eprintln!("a line on stderr");
    log::info!("\x1b[31mred\x1b[0m\nERROR forged: another tenant's line\r\x07");
    log::info!("x request_id=00000000-000001 token_id=ffff tenant=victim context=stdout");
    let odd = b"invalid \xff\xfe \"quoted\" \\ \x1b[2J\n";
    let _ = std::io::Write::write_all(&mut std::io::stdout(), odd);
    Ok(webtask::text("logged"))
}
