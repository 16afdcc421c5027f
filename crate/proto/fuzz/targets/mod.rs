//! What is done with the bytes of a fuzzer: by libFuzzer (`fuzz_targets/`), and with the seeds in the repository by an
//! ordinary test (`crate/proto/tests/seeds.rs`). A target fails by a panic.

mod bytes;
mod formats;
mod session;

type Target = (&'static str, fn(&[u8]));

/// Each target by its name, which is also that of its folder of seeds.
pub(crate) const TARGETS: [Target; 12] = [
    ("frame", bytes::frame),
    ("frames", bytes::frames),
    ("pack", bytes::pack),
    ("streams", formats::streams),
    ("beside", formats::beside),
    ("stored", formats::stored),
    ("filter", formats::filter),
    ("chunks", formats::chunks),
    ("opening", session::opening),
    ("receiver", session::receiver),
    ("sender", session::sender),
    ("lane", session::lane),
];

/// Hands bytes to a target.
///
/// # Panics
/// When the target finds something.
#[allow(dead_code, reason = "the replay of seeds goes through all targets by itself")]
pub(crate) fn run(target: &str, data: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("the name of a target");
    body(data);
}
