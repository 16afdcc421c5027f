//! The fuzz targets with the seeds in the repository, without libFuzzer: what a fuzzer found once stays found.

use std::fs;
use std::path::Path;

use sparsync_proto::{Frame, Version};

#[path = "../fuzz/targets/mod.rs"]
mod targets;

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
