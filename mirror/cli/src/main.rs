//! The `mirror` program.
mod admin; mod log; mod run; mod status;
use mimalloc as _;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() -> anyhow::Result<std::process::ExitCode> {
    let config: mirror::config::Config = serde_yaml::from_str(&std::fs::read_to_string(std::env::args().nth(1).unwrap())?)?;
    log::start(&config.log);
    run::run(&config)
}
