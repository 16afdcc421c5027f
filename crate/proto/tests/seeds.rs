//! The fuzz targets with the seeds in the repository, without libFuzzer: what a fuzzer found once stays found.

use std::fs;
use std::path::Path;

use sparsync_proto::{Frame, Version};

#[path = "simulation/random.rs"]
#[allow(dead_code, reason = "the simulation draws in more ways")]
mod random;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use random::Random;

#[test]
fn every_target_bears_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut count = 0;
    for (target, body) in targets::TARGETS {
        let folder = seeds.join(target);
        let before = count;
        for seed in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = seed.expect("a seed").path();
            body(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            count += 1;
        }
        assert!(count > before, "{target} has no seeds");
    }
}

#[test]
fn the_seeds_of_frames_are_frames() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/frame");
    for seed in fs::read_dir(&folder).expect("the seeds") {
        let path = seed.expect("a seed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let decoded = Frame::decode(Version::V1, &fs::read(&path).expect("a seed that can be read"));
        // What is of the future is there to be refused.
        assert_eq!(decoded.is_err(), name == "request-with-a-demand-of-the-future", "{name}: {decoded:?}");
    }
}

/// A seed with some bytes changed, left out, repeated, or taken from another one.
fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.index(seeds.len())].clone();
    for _ in 0..=random.index(4) {
        let at = random.index(bytes.len());
        match random.index(5) {
            0 => bytes.truncate(at),
            1 => {
                let other = &seeds[random.index(seeds.len())];
                bytes.splice(at..at, other.iter().copied().skip(random.index(other.len())).take(64));
            }
            2 => bytes.insert(at, [0, 1, 0x7f, 0x80, 0xff][random.index(5)]),
            _ => {
                let byte = u8::try_from(random.below(256)).unwrap_or_default();
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
        }
    }
    bytes
}

/// What finds something in a body within so many mutations of the seeds of a target.
fn found(target: &str, body: impl Fn(&[u8]) + std::panic::RefUnwindSafe, times: usize) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut names: Vec<_> =
        fs::read_dir(&folder).expect("the seeds").map(|seed| seed.expect("a seed").path()).collect();
    names.sort_unstable();
    let seeds: Vec<Vec<u8>> = names.iter().map(|path| fs::read(path).expect("a seed")).collect();
    let mut random = Random::new(7);
    (0..times).map(|_| mutated(&mut random, &seeds)).find(|bytes| std::panic::catch_unwind(|| body(bytes)).is_err())
}

#[test]
fn mutations_of_the_seeds_find_nothing() {
    for (target, body) in targets::TARGETS {
        if let Some(bytes) = found(target, body, 2000) {
            panic!("{target} finds something with {}", bytes.escape_ascii());
        }
    }
}

/// A decoder that trusts a length, and one that forgets a bound: both are found.
#[test]
fn planted_faults_are_found() {
    let trusts_a_length = |bytes: &[u8]| {
        if let Some((&length, rest)) = bytes.split_first() {
            let _ = &rest[..usize::from(length)];
        }
    };
    let forgets_a_bound = |bytes: &[u8]| {
        let known = Frame::decode(Version::V1, bytes).is_ok();
        assert!(!known || bytes.len() < 60, "a frame that is longer than a buffer");
    };
    assert!(found("frame", trusts_a_length, 2000).is_some());
    assert!(found("frame", forgets_a_bound, 2000).is_some());
}
