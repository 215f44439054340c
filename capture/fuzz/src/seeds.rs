//! What fuzzing starts from.

use std::path::PathBuf;

/// Writes a target's seeds into the folder that `MIRROR_FUZZ_SEEDS` names, if it names one.
///
/// # Panics
/// When it cannot.
pub fn write(seeds: impl FnOnce() -> Vec<(String, Vec<u8>)>) {
    let Some(folder) = std::env::var_os("MIRROR_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (name, seed) in seeds() {
        std::fs::write(folder.join(name.replace(' ', "-")), seed).expect("the folder of the seeds");
    }
}
